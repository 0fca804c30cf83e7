#include "core/gpu/reduce.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/kernels/add_up.h"

namespace zerorun::ops {
namespace {

using namespace gpu;

static_assert(kLanesOfWarp == kWarp);

// One block of threads, each of which is a lane.
__global__ void __launch_bounds__(kAddingLanes) add_lanes(const double* values, int64_t count, double* sum) {
  __shared__ double shared[kAddingLanes / kWarp];
  double total = 0;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < count; i += kAddingLanes) total += values[i];
  total = over_block<Add>(total, shared);
  if (threadIdx.x == 0) *sum += total;
}

}  // namespace

void add_up(const double* values, int64_t count, double* sum, GpuStream stream) { launch("add_up", add_lanes, 1, kAddingLanes, stream, values, count, sum); }

}  // namespace zerorun::ops
