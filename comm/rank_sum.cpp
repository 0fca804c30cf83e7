#include "comm/rank_sum.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <type_traits>

#include "core/error.h"

namespace zerorun {
namespace {

// Accumulators of a block stay in the first-level cache and let the inner loops vectorise.
constexpr int64_t kBlock = 1024;

template <typename T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename T>
void sum_block(std::span<const void* const> parts, int64_t begin, int64_t count, T* sum) {
  Accumulator<T> total[kBlock];
  const T* first = static_cast<const T*>(parts[0]) + begin;
  for (int64_t i = 0; i < count; ++i) total[i] = static_cast<Accumulator<T>>(first[i]);
  for (const void* data : parts.subspan(1)) {
    const T* part = static_cast<const T*>(data) + begin;
    for (int64_t i = 0; i < count; ++i) total[i] += static_cast<Accumulator<T>>(part[i]);
  }
  for (int64_t i = 0; i < count; ++i) sum[begin + i] = static_cast<T>(total[i]);
}

template <typename T>
void sum_all(std::span<const void* const> parts, Span sum) {
  for (int64_t begin = 0; begin < sum.count; begin += kBlock) {
    sum_block(parts, begin, std::min(kBlock, sum.count - begin), static_cast<T*>(sum.data));
  }
}

}  // namespace

bool can_rank_sum(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16 || dtype == at::kHalf;
}

void rank_sum(std::span<const void* const> parts, Span sum) {
  ZR_CHECK(!parts.empty(), "a sum over no rank");
  switch (sum.dtype) {
    case at::kFloat:
      return sum_all<float>(parts, sum);
    case at::kDouble:
      return sum_all<double>(parts, sum);
    case at::kBFloat16:
      return sum_all<c10::BFloat16>(parts, sum);
    case at::kHalf:
      return sum_all<c10::Half>(parts, sum);
    default:
      fail(ErrorKind::bug, "{} cannot be summed over ranks", c10::toString(sum.dtype));
  }
}

}  // namespace zerorun
