#include "core/gpu/launch.cuh"
#include "core/gpu/reduce.cuh"
#include "zero/update_control.h"

namespace zerorun::kernels {
namespace {

__device__ bool is_finite(double x) { return x - x == 0; }

// As StepSums, LossScaler and clip_factor() have it on the host.
__global__ void decide(const double* sums, int ranks, DecisionRule rule, UpdateControl* control) {
  if (threadIdx.x != 0) return;
  double loss = 0, squares = 0;
  for (int r = 0; r < ranks; ++r) {
    loss += sums[2 * r];
    squares += sums[2 * r + 1];
  }
  const double norm = sqrt(squares) / rule.gradient_scale;
  const double wanted = rule.max_norm / (norm + 1e-6);
  const bool clips = rule.max_norm > 0 && wanted < 1;
  control->clip = clips ? static_cast<float>(wanted) : 1.0f;
  control->accepted = !rule.must_be_finite || (is_finite(loss) && is_finite(norm));
}

}  // namespace

void decide_update(const double* sums, int ranks, const DecisionRule& rule, UpdateControl* control, GpuStream stream) {
  gpu::launch("decide_update", decide, 1, gpu::kWarp, stream, sums, ranks, rule, control);
}

}  // namespace zerorun::kernels
