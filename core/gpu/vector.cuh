// Elements in groups: a thread loads and stores as many at once as lie in 16 bytes, where addresses allow it, and one where they do not.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "core/gpu/launch.cuh"
#include "core/gpu/number.cuh"

namespace zerorun::gpu {

template <typename Number>
inline constexpr int kGroup = 16 / static_cast<int>(sizeof(Number));

template <typename Number, int kCount>
struct alignas(sizeof(Number) * kCount) Pack {
  Number numbers[kCount];
};

// kCount numbers, in packs of at most 16 bytes. REQUIRES `from` aligned to a pack.
template <int kCount, typename Number, typename Wide>
__device__ inline void load(const Number* from, Wide (&to)[kCount]) {
  constexpr int kPack = kCount < kGroup<Number> ? kCount : kGroup<Number>;
  for (int p = 0; p < kCount; p += kPack) {
    const auto pack = *reinterpret_cast<const Pack<Number, kPack>*>(from + p);
    for (int i = 0; i < kPack; ++i) to[p + i] = widen(pack.numbers[i]);
  }
}

template <int kCount, typename Number, typename Wide>
__device__ inline void store(const Wide (&from)[kCount], Number* to) {
  constexpr int kPack = kCount < kGroup<Number> ? kCount : kGroup<Number>;
  for (int p = 0; p < kCount; p += kPack) {
    Pack<Number, kPack> pack;
    for (int i = 0; i < kPack; ++i) narrow(from[p + i], pack.numbers[i]);
    *reinterpret_cast<Pack<Number, kPack>*>(to + p) = pack;
  }
}

// Runs body(group, i) for all of `count` elements: group is a constant, the number of elements from i on. They are shared out over all threads of the grid.
template <int kCount, typename Body>
__device__ inline void for_each_group(int64_t count, Body&& body) {
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, threads = int64_t{gridDim.x} * blockDim.x;
  const int64_t groups = count / kCount;
  for (int64_t g = thread; g < groups; g += threads) body(std::integral_constant<int, kCount>{}, g * kCount);
  if constexpr (kCount > 1) {
    for (int64_t i = groups * kCount + thread; i < count; i += threads) body(std::integral_constant<int, 1>{}, i);
  }
}

// Whether all of them may be loaded 16 bytes at a time. What is null is not loaded.
inline bool aligned(std::initializer_list<const void*> pointers) {
  for (const void* pointer : pointers) {
    if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0) return false;
  }
  return true;
}

// Runs body(group) with the constant kCount where elements can be taken in groups, and with 1 where not.
template <int kCount, typename Body>
void with_group(bool in_groups, Body&& body) {
  if (in_groups) return body(std::integral_constant<int, kCount>{});
  body(std::integral_constant<int, 1>{});
}

}  // namespace zerorun::gpu
