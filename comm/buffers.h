// What Communicator::allocate gives out: `bytes` uint8 elements, exactly, from LibTorch's allocators, on the caller's
// thread, so that the caller's memory scope pays. Host buffers are aligned to 64 bytes.
#pragma once
#include <cstdint>

namespace at {
class Tensor;
}

namespace zerorun {

at::Tensor host_buffer(int64_t bytes);
at::Tensor meta_buffer(int64_t bytes);

}  // namespace zerorun
