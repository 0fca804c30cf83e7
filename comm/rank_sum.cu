#include "comm/rank_sum.h"
#include "core/gpu/vector.cuh"

namespace zerorun {
namespace {

using namespace gpu;

// A thread reads its elements of every part before it writes their sum, which may lie over one of them.
template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) sum_parts(const Number* parts, int64_t stride, int ranks, int64_t count, Number* sum) {
  for_each_group<kCount>(count, [&](auto group, int64_t i) {
    constexpr int kHere = decltype(group)::value;
    decltype(widen(Number{})) total[kHere], part[kHere];
    load(parts + i, total);
#pragma unroll 4
    for (int r = 1; r < ranks; ++r) {
      load(parts + r * stride + i, part);
      for (int k = 0; k < kHere; ++k) total[k] += part[k];
    }
    store(total, sum + i);
  });
}

}  // namespace

void rank_sum(const void* parts, int64_t stride, int ranks, Span sum, GpuStream stream) {
  const auto run = [&](auto zero) {
    using Number = decltype(zero);
    with_group<kGroup<Number>>(stride % kGroup<Number> == 0 && aligned({parts, sum.data}), [&](auto group) {
      constexpr int kCount = decltype(group)::value;
      launch("rank_sum", sum_parts<Number, kCount>, blocks_for(sum.count / kCount, kThreads), kThreads, stream, static_cast<const Number*>(parts), stride, ranks,
             sum.count, static_cast<Number*>(sum.data));
    });
  };
  if (sum.dtype == kFp64) return run(double{});
  with_number(sum.dtype, run);
}

}  // namespace zerorun
