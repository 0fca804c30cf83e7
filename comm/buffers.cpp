#include "comm/buffers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/impl/VirtualGuardImpl.h>

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

at::Tensor gpu_buffer(int64_t bytes) { return buffer(bytes, at::kCUDA); }

// The memory goes before its charge.
at::Tensor gpu_buffer(void* data, int64_t bytes, std::function<void(void*)> free) {
  const at::Device device = at::Device(at::kCUDA, c10::impl::VirtualGuardImpl(at::kCUDA).getDevice().index());
  return at::for_blob(data, {bytes})
      .deleter([free = std::move(free), charge = std::make_shared<ScopeCharge>(bytes, ScopeCharge::Memory::own_pages)](void* memory) { free(memory); })
      .options(at::TensorOptions(device).dtype(at::kByte))
      .target_device(device)
      .make_tensor();
}

at::Tensor shared_buffer(void* data, int64_t bytes, std::shared_ptr<void> keep) {
  return at::from_blob(
      data, {bytes}, [keep = std::move(keep), charge = std::make_shared<ScopeCharge>(bytes, ScopeCharge::Memory::shared)](void*) {},
      at::TensorOptions().dtype(at::kByte));
}

at::Tensor meta_buffer(int64_t bytes) { return buffer(bytes, at::kMeta); }

at::Tensor charged_meta_buffer(int64_t bytes, ScopeCharge::Memory memory) {
  auto charge = std::make_unique<ScopeCharge>(bytes, memory);
  at::DataPtr nothing(nullptr, charge.release(), [](void* context) { delete static_cast<ScopeCharge*>(context); }, at::kMeta);
  const at::Storage storage(at::Storage::use_byte_size_t(), static_cast<size_t>(bytes), std::move(nothing), c10::GetAllocator(at::kMeta),
                            /*resizable=*/true);  // set_() on meta asks for it
  return at::empty({0}, at::TensorOptions(at::kMeta).dtype(at::kByte)).set_(storage, 0, {bytes}, {1});
}

}  // namespace zerorun
