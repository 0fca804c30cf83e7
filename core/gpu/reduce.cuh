// Sums over the threads of a warp or a block, always in the same order: every thread gets the same bits, and gets them in every run.
#pragma once
#include <cuda_runtime.h>

namespace zerorun::gpu {

inline constexpr int kWarp = 32;

struct Add {
  template <typename T>
  __device__ T operator()(T a, T b) const { return a + b; }
};
// Of the two the one that is a number.
struct Maximum {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

template <typename Combine, typename T>
__device__ inline T over_warp(T value) {
  for (int apart = kWarp / 2; apart > 0; apart /= 2) value = Combine{}(value, __shfl_xor_sync(0xffffffffu, value, apart));
  return value;
}

// `shared` has one T for each warp of the block, and may be used again once all threads have the result. REQUIRES whole warps and that all threads call it.
template <typename Combine, typename T>
__device__ inline T over_block(T value, T* shared) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, warps = static_cast<int>(blockDim.x) / kWarp;
  value = over_warp<Combine>(value);
  if (warps == 1) return value;
  __syncthreads();  // the last result has been read
  if (threadIdx.x % kWarp == 0) shared[warp] = value;
  __syncthreads();
  value = shared[0];
  for (int w = 1; w < warps; ++w) value = Combine{}(value, shared[w]);
  return value;
}

// A row's threads: one warp of a block, or all of it.
template <bool kWholeBlock>
struct Team {
  __device__ static int size() { return kWholeBlock ? static_cast<int>(blockDim.x) : kWarp; }
  __device__ static int rank() { return static_cast<int>(threadIdx.x) % size(); }
  __device__ static int64_t first_row() { return kWholeBlock ? blockIdx.x : (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kWarp; }
  __device__ static int64_t rows_at_once() { return kWholeBlock ? gridDim.x : int64_t{gridDim.x} * blockDim.x / kWarp; }
  template <typename Combine, typename T>
  __device__ static T over(T value, T* shared) {
    if constexpr (kWholeBlock) return over_block<Combine>(value, shared);
    return over_warp<Combine>(value);
  }
};

}  // namespace zerorun::gpu
