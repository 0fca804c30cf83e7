#include "core/gpu/cuda_check.h"
#include "tests/gpu/device_buffer.h"

namespace zerorun::device {

void* allocate(int64_t bytes) {
  void* memory = nullptr;
  gpu::check(cudaMalloc(&memory, static_cast<size_t>(bytes)), "a buffer of a test");
  return memory;
}
void release(void* memory) noexcept { static_cast<void>(cudaFree(memory)); }
void copy(const void* from, void* to, int64_t bytes) {
  gpu::check(cudaDeviceSynchronize(), "what has been launched");
  gpu::check(cudaMemcpy(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault), "a copy of a test");
}
void set_order(unsigned int) {}

}  // namespace zerorun::device
