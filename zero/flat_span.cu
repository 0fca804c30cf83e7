#include <algorithm>

#include "comm/on_block.h"
#include "core/gpu/reduce.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/kernels/add_up.h"
#include "zero/gpu_flat_kernels.h"

namespace zerorun::kernels {
namespace {

using namespace gpu;

template <typename From, typename To>
constexpr int kBoth = kGroup<From> < kGroup<To> ? kGroup<From> : kGroup<To>;

// Each element by one thread, which reads it before it writes it: where both have the same width they may be the same memory.
template <typename From, typename To, int kCount>
__global__ void __launch_bounds__(kThreads) convert_numbers(const From* from, To* to, int64_t count) {
  for_each_group<kCount>(count, [&](auto group, int64_t i) {
    float values[decltype(group)::value];
    load(from + i, values);
    store(values, to + i);
  });
}

template <typename Part, typename Sum, int kCount>
__global__ void __launch_bounds__(kThreads) add_numbers(const Part* part, Sum* sum, int64_t count) {
  for_each_group<kCount>(count, [&](auto group, int64_t i) {
    constexpr int kHere = decltype(group)::value;
    float values[kHere], addends[kHere];
    load(sum + i, values);
    load(part + i, addends);
    for (int k = 0; k < kHere; ++k) values[k] += addends[k];
    store(values, sum + i);
  });
}

// In one block: all of its elements are read before the first is written.
constexpr int kOverlapping = 4096, kOverlappingThreads = 1024;

template <typename From, typename To>
__global__ void __launch_bounds__(kOverlappingThreads) convert_overlapping(const From* from, To* to, int count) {
  constexpr int kEach = kOverlapping / kOverlappingThreads;
  const int first = static_cast<int>(threadIdx.x);
  float values[kEach];
  for (int k = 0; k < kEach; ++k) {
    const int i = first + k * kOverlappingThreads;
    values[k] = i < count ? widen(from[i]) : 0.0f;
  }
  __syncthreads();
  for (int k = 0; k < kEach; ++k) {
    const int i = first + k * kOverlappingThreads;
    if (i < count) narrow(values[k], to[i]);
  }
}

constexpr int kLanes = 8;  // of a block's sum: a thread has each

template <typename Number>
__global__ void __launch_bounds__(kThreads) square_blocks(const Number* values, int64_t count, double* blocks) {
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x, lane = thread % kLanes;
  const int64_t block_count = (count + kSumBlock - 1) / kSumBlock, at_once = int64_t{gridDim.x} * kThreads / kLanes;
  // All threads of a warp go round as often: they shuffle.
  for (int64_t first = thread / kWarp * (kWarp / kLanes); first < block_count; first += at_once) {
    const int64_t block = first + thread % kWarp / kLanes, begin = block * kSumBlock;
    const int64_t length = begin >= count ? 0 : count - begin < kSumBlock ? count - begin : kSumBlock, even = length / kLanes * kLanes;
    double sum = 0;
    const auto add = [&](int64_t i) {
      const float value = widen(values[begin + i]);
      sum += static_cast<double>(value) * value;
    };
#pragma unroll 8
    for (int64_t i = lane; i < even; i += kLanes) add(i);
    if (lane == 0) {
      for (int64_t i = even; i < length; ++i) add(i);
    }
    for (int apart = 1; apart < kLanes; apart *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
    if (lane == 0 && length > 0) blocks[block] = sum;
  }
}

// Runs body(from, to) for the types of two spans.
template <typename Body>
void with_numbers(Span from, Span to, Body&& body) {
  with_number(from.dtype, [&](auto a) { with_number(to.dtype, [&](auto b) { body(a, b); }); });
}

// Runs launch(from, to, group) for the types of two spans that have something in them, and the elements that a thread takes at a time.
template <typename Launch>
void launch_over(Span from, Span to, Launch&& launch_one) {
  if (!from.data || !to.data || from.count == 0) return;
  with_numbers(from, to, [&](auto a, auto b) {
    with_group<kBoth<decltype(a), decltype(b)>>(aligned({from.data, to.data}), [&](auto group) { launch_one(a, b, group); });
  });
}

}  // namespace

void convert(Span from, Span to, GpuStream stream) {
  launch_over(from, to, [&](auto a, auto b, auto group) {
    using From = decltype(a);
    using To = decltype(b);
    constexpr int kCount = decltype(group)::value;
    launch("convert", convert_numbers<From, To, kCount>, blocks_for(from.count / kCount, kThreads), kThreads, stream, static_cast<const From*>(from.data),
           static_cast<To*>(to.data), from.count);
  });
}

void add(Span part, Span sum, GpuStream stream) {
  launch_over(part, sum, [&](auto a, auto b, auto group) {
    using Part = decltype(a);
    using Sum = decltype(b);
    constexpr int kCount = decltype(group)::value;
    launch("add", add_numbers<Part, Sum, kCount>, blocks_for(part.count / kCount, kThreads), kThreads, stream, static_cast<const Part*>(part.data),
           static_cast<Sum*>(sum.data), part.count);
  });
}

// Threads of a launch write in no order, so that a launch may write nowhere where it, or one after it, has yet to read. With elements of 4 and of 2 bytes:
//
// - narrowing, elements [a, b) are written to bytes [2 a, 2 b), and what is unread begins at byte 4 a: b = 2 a will do. Each launch does as many as all before it.
// - widening, with n elements in all, they are written to [4 a, 4 b), and what is unread begins at 2 n + 2 a: b = (n + a) / 2. Each launch does half of what is left.
//
// Where the ranges meet, at the start of the one and the end of the other, at most kOverlapping elements are left to a single block, which reads them all first.
void convert_in_place(Span from, Span to, GpuStream stream) {
  if (!from.data || from.dtype == to.dtype || from.count == 0) return;
  const int64_t count = from.count;
  with_numbers(from, to, [&](auto a, auto b) {
    using From = decltype(a);
    using To = decltype(b);
    const auto overlapping = [&](int64_t begin, int64_t end) {
      launch("convert_in_place", convert_overlapping<From, To>, 1, kOverlappingThreads, stream, static_cast<const From*>(from.data) + begin,
             static_cast<To*>(to.data) + begin, static_cast<int>(end - begin));
    };
    const auto apart = [&](int64_t begin, int64_t end) { convert(from.part(begin, end - begin), to.part(begin, end - begin), stream); };
    if (sizeof(From) == sizeof(To)) return apart(0, count);
    int64_t begin = 0;
    if (sizeof(From) > sizeof(To)) {
      begin = std::min<int64_t>(count, kOverlapping);
      overlapping(0, begin);
      for (; begin < count; begin = std::min(count, 2 * begin)) apart(begin, std::min(count, 2 * begin));
      return;
    }
    constexpr int64_t kEven = 64;  // launches begin at multiples of it, aligned
    while (count - begin > kOverlapping) {
      const int64_t end = (count + begin) / 2 / kEven * kEven;
      apart(begin, end);
      begin = end;
    }
    overlapping(begin, count);
  });
}

void sum_of_squares(Span values, double* blocks, double* total, GpuStream stream) {
  const int64_t count = (values.count + kSumBlock - 1) / kSumBlock;
  if (count > 0) {
    with_number(values.dtype, [&](auto zero) {
      using Number = decltype(zero);
      launch("sum_of_squares", square_blocks<Number>, blocks_for(count, kThreads / kLanes), kThreads, stream, static_cast<const Number*>(values.data), values.count,
             blocks);
    });
  }
  ops::add_up(blocks, count, total, stream);
}

}  // namespace zerorun::kernels
