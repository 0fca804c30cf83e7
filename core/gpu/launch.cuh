// How kernels here are launched, and what each of them needs. Sources of kernels see CUDA's runtime and nothing of LibTorch.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "core/gpu/handle.h"

namespace zerorun::gpu {

// Throws Error for what CUDA says of a launch, with the kernel's name.
void check_launch(int error, const char* kernel);

// Threads of a block in kernels that go over elements, and how many blocks go over `tasks` of them: enough to fill any GPU; a thread takes the tasks that lie a
// whole grid apart.
inline constexpr int kThreads = 256;
inline unsigned int blocks_for(int64_t tasks, int64_t tasks_of_block) {
  constexpr int64_t kMost = 16384;
  const int64_t blocks = (tasks + tasks_of_block - 1) / tasks_of_block;
  return static_cast<unsigned int>(blocks < 1 ? 1 : blocks > kMost ? kMost : blocks);
}

// kernel<<<grid, threads, 0, stream>>>(arguments...)
template <typename... Parameters>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, int threads, GpuStream stream, std::type_identity_t<Parameters>... arguments) {
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
  check_launch(static_cast<int>(cudaLaunchKernel(kernel, grid, dim3(static_cast<unsigned int>(threads)), pointers, 0, stream)), name);
}

}  // namespace zerorun::gpu
