// Dropout (Srivastava et al. 2014) whose mask comes from a counter: whether an element is kept depends on the key, on its sample and
// on its place in the sample, never on how a batch is split over ranks, micro-batches or threads.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace zerorun::ops {

struct DropoutKey {
  uint64_t seed = 0;
  int64_t step = 0;
  int64_t first_sample = 0;  // the number of the batch's first sample among all samples of the step
  uint32_t site = 0;         // which dropout of the model this is
};

// x [B, T, C], contiguous -> elements dropped with `probability`, the others times 1 / (1 - probability). Saves nothing but the key:
// backward draws the mask again. A probability of 0 returns x itself. Draws are 16 bits of Philox 4x32-10, eight elements a call: the
// probability is rounded to a multiple of 2^-16, and the scale is that of the rounded one, so that the mean is kept. Costs about 2 ns an
// element. REQUIRES T C < 2^35. Throws Error(configuration) for a probability outside [0, 1).
at::Tensor dropout(const at::Tensor& x, double probability, const DropoutKey& key);

}  // namespace zerorun::ops
