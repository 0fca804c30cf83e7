// What updates on a GPU learn only when they run, from memory of the GPU.
#pragma once
#include <cstdint>

#include "core/gpu/handle.h"

namespace zerorun {

struct UpdateControl {
  float clip;        // multiplies gradient_scale
  int32_t accepted;  // 0: nothing is written
};

struct DecisionRule {
  double gradient_scale = 1;    // of the gradients that the norms are of
  double max_norm = 0;          // 0: no clipping
  bool must_be_finite = true;  // else every gradient is accepted
};

namespace kernels {
// From {loss, squared norm} of each rank, added in rank order. Launched on `stream`.
void decide_update(const double* sums, int ranks, const DecisionRule& rule, UpdateControl* control, GpuStream stream);
}  // namespace kernels

}  // namespace zerorun
