#include "comm/buffers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "core/error.h"

namespace zerorun {
namespace {

at::Tensor buffer(int64_t bytes, at::Device device) {
  ZR_CHECK(bytes >= 0, "a buffer of {} bytes", bytes);
  return at::empty({bytes}, at::TensorOptions(device).dtype(at::kByte));
}

}  // namespace

at::Tensor host_buffer(int64_t bytes) { return buffer(bytes, at::kCPU); }
at::Tensor meta_buffer(int64_t bytes) { return buffer(bytes, at::kMeta); }

}  // namespace zerorun
