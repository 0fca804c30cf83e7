// CUDA's runtime as far as the kernels here use it, on a processor (tests/gpu/README.md). Found before the true one by what is compiled to be emulated.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static  // blocks run one after the other
#define __launch_bounds__(...)

struct uint3 {
  unsigned int x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned int x, y, z;
  dim3(unsigned int columns = 1, unsigned int rows = 1, unsigned int layers = 1) : x(columns), y(rows), z(layers) {}
};

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

struct CUstream_st;
using cudaStream_t = CUstream_st*;
enum cudaError_t { cudaSuccess = 0 };

namespace emulation {

// Runs `thread` for every thread of every block. Throws std::logic_error where threads of a block wait for others that do not come.
void run(dim3 grid, dim3 block, const std::function<void()>& thread);

// What a launch does: run(), at once; where a GPU stands in (tests/gpu/stand_in), in the order of the stream.
void launch(cudaStream_t stream, dim3 grid, dim3 block, std::function<void()> thread);

void wait_for_block();
void wait_for_warp();

// What lane `source` of the calling thread's warp brings to the same exchange. REQUIRES bytes <= 8.
void exchange(const void* mine, void* theirs, std::size_t bytes, unsigned int source);

inline unsigned int lane() { return threadIdx.x % 32; }

template <typename T>
T value_of(T mine, unsigned int source) {
  T theirs;
  exchange(&mine, &theirs, sizeof(T), source);
  return theirs;
}

}  // namespace emulation

inline void __syncthreads() { emulation::wait_for_block(); }
inline void __syncwarp(unsigned int = 0xffffffffu) { emulation::wait_for_warp(); }

template <typename T>
T __shfl_sync(unsigned int, T value, int source) {
  return emulation::value_of(value, static_cast<unsigned int>(source) % 32);
}
template <typename T>
T __shfl_xor_sync(unsigned int, T value, int bits) {
  return emulation::value_of(value, emulation::lane() ^ static_cast<unsigned int>(bits));
}
template <typename T>
T __shfl_down_sync(unsigned int, T value, unsigned int apart) {
  return emulation::value_of(value, emulation::lane() + apart < 32 ? emulation::lane() + apart : emulation::lane());
}

template <typename... Parameters>
cudaError_t cudaLaunchKernel(void (*kernel)(Parameters...), dim3 grid, dim3 block, void** arguments, std::size_t, cudaStream_t stream) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    emulation::launch(stream, grid, block, [kernel, kept = std::tuple<Parameters...>(*static_cast<Parameters*>(arguments[I])...)] { std::apply(kernel, kept); });
  }(std::index_sequence_for<Parameters...>{});
  return cudaSuccess;
}
