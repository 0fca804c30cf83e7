// What Communicator::allocate gives out: `bytes` uint8 elements, exactly, from LibTorch's allocators, on the caller's
// thread, so that the caller's memory scope pays. Host buffers are aligned to 64 bytes.
#pragma once
#include <cstdint>
#include <memory>

#include "core/memory.h"

namespace at {
class Tensor;
}

namespace zerorun {

at::Tensor host_buffer(int64_t bytes);
// In memory of the GPU that this thread computes on. The second over memory of another allocator there, charged to the caller's scope.
at::Tensor gpu_buffer(int64_t bytes);
at::Tensor gpu_buffer(std::shared_ptr<void> memory, int64_t bytes);
// Over memory that `keep` holds, charged to the caller's scope.
at::Tensor shared_buffer(void* data, int64_t bytes, std::shared_ptr<void> keep);
at::Tensor meta_buffer(int64_t bytes);
// What stands on the meta device for a buffer over memory of another allocator: charged as one. `keep` lives as long.
at::Tensor charged_meta_buffer(int64_t bytes, std::shared_ptr<void> keep = {});

}  // namespace zerorun
