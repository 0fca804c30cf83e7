#include "comm/rank_sum.h"

#include <algorithm>

#include "comm/stream.h"
#include "core/error.h"
#include "core/ops/kernels/number.h"

namespace zerorun {
namespace {

// Accumulators of a block stay in the first-level cache.
constexpr int64_t kBlock = kSumBlock;

// At a time, far apart: see stream().
constexpr int64_t kPlaces = 4;

using ops::narrow;
using ops::widen;

ZR_INLINE double widen(double x) { return x; }
ZR_INLINE void narrow(double x, double& to) { to = x; }

// `sum` may be one of the parts: element by element, nothing else aliases.
template <typename T>
ZR_INLINE void sum_two(const T* a, const T* b, int64_t count, T* sum) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) narrow(widen(a[i]) + widen(b[i]), sum[i]);
}

template <typename T>
ZR_INLINE void sum_block(std::span<const void* const> parts, int64_t begin, int64_t count, T* sum) {
  const T* first = static_cast<const T*>(parts.front()) + begin;
  if (parts.size() == 2) return sum_two(first, static_cast<const T*>(parts[1]) + begin, count, sum);
  decltype(widen(T{})) total[kBlock];
  for (int64_t i = 0; i < count; ++i) total[i] = widen(first[i]);
  for (const void* data : parts.subspan(1)) {
    const T* part = static_cast<const T*>(data) + begin;
    for (int64_t i = 0; i < count; ++i) total[i] += widen(part[i]);
  }
  for (int64_t i = 0; i < count; ++i) narrow(total[i], sum[i]);
}

// Past the ends it does nothing.
template <typename T>
ZR_INLINE void prefetch(std::span<const void* const> parts, int64_t begin) {
  constexpr int64_t kLine = 64;
  for (const void* data : parts) {
    const char* ahead = reinterpret_cast<const char*>(static_cast<const T*>(data) + begin);
    for (int64_t byte = 0; byte < kBlock * static_cast<int64_t>(sizeof(T)); byte += kLine) __builtin_prefetch(ahead + byte);
  }
}

template <typename T>
ZR_INLINE void sum_all(std::span<const void* const> parts, int64_t count, T* sum, const OnBlock& on_block) {
  constexpr auto kType = c10::CppTypeToScalarType<T>::value;
  const bool streams = count * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  const int64_t places = streams ? kPlaces : 1, stride = count / places / kBlock * kBlock;
  alignas(64) T block[kBlock];
  for (int64_t i = 0; i < stride; i += kBlock) {
    for (int64_t begin = i; begin < places * stride; begin += stride) {
      prefetch<T>(parts, begin + 2 * kBlock);
      T* const out = streams ? block : sum + begin;
      sum_block(parts, begin, kBlock, out);
      if (on_block) on_block(begin, {out, kBlock, kType});
      if (streams) stream(block, sum + begin, sizeof block);
    }
  }
  for (int64_t begin = places * stride; begin < count; begin += kBlock) {
    const int64_t length = std::min(kBlock, count - begin);
    sum_block(parts, begin, length, sum + begin);
    if (on_block) on_block(begin, {sum + begin, length, kType});
  }
  if (streams) stream_end();
}

ZR_FOR_EACH_CPU
void sum_numbers(std::span<const void* const> parts, Span sum, const OnBlock& on_block) {
  if (sum.dtype == at::kDouble) return sum_all(parts, sum.count, static_cast<double*>(sum.data), on_block);
  ops::with_number(sum.dtype, [&](auto zero) ZR_ALWAYS { sum_all(parts, sum.count, static_cast<decltype(zero)*>(sum.data), on_block); });
}

}  // namespace

bool can_rank_sum(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16 || dtype == at::kHalf;
}

void rank_sum(std::span<const void* const> parts, Span sum, const OnBlock& on_block) {
  ZR_CHECK(!parts.empty(), "a sum over no rank");
  ZR_CHECK(can_rank_sum(sum.dtype), "{} cannot be summed over ranks", c10::toString(sum.dtype));
  sum_numbers(parts, sum, on_block);
}

void for_each_block(Span values, const OnBlock& on_block) {
  for (int64_t begin = 0; on_block && begin < values.count; begin += kBlock) on_block(begin, values.part(begin, kBlock));
}

}  // namespace zerorun
