// What Communicator::allocate gives out: `bytes` uint8 elements, exactly, from LibTorch's allocators, on the caller's
// thread, so that the caller's memory scope pays. Host buffers are aligned to 64 bytes.
#pragma once
#include <cstdint>
#include <memory>

namespace at {
class Tensor;
}

namespace zerorun {

at::Tensor host_buffer(int64_t bytes);
// Over memory that `keep` holds, charged to the caller's scope.
at::Tensor shared_buffer(void* data, int64_t bytes, std::shared_ptr<void> keep);
at::Tensor meta_buffer(int64_t bytes);
// What stands for a shared buffer on the meta device: charged as one.
at::Tensor shared_meta_buffer(int64_t bytes);

}  // namespace zerorun
