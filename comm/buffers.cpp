#include "comm/buffers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <memory>

#include "core/error.h"
#include "core/memory.h"

namespace zerorun {
namespace {

at::Tensor buffer(int64_t bytes, at::Device device) {
  ZR_CHECK(bytes >= 0, "a buffer of {} bytes", bytes);
  return at::empty({bytes}, at::TensorOptions(device).dtype(at::kByte));
}

}  // namespace

at::Tensor host_buffer(int64_t bytes) { return buffer(bytes, at::kCPU); }
at::Tensor shared_buffer(void* data, int64_t bytes, std::shared_ptr<void> keep) {
  return at::from_blob(
      data, {bytes}, [keep = std::move(keep), charge = std::make_shared<ScopeCharge>(bytes)](void*) {}, at::TensorOptions().dtype(at::kByte));
}
at::Tensor meta_buffer(int64_t bytes) { return buffer(bytes, at::kMeta); }

}  // namespace zerorun
