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

std::shared_ptr<ScopeCharge> charge_of(int64_t bytes, ScopeCharge::Memory memory) { return std::make_shared<ScopeCharge>(bytes, memory); }

}  // namespace

at::Tensor host_buffer(int64_t bytes) { return buffer(bytes, at::kCPU); }

at::Tensor gpu_buffer(int64_t bytes) { return buffer(bytes, at::kCUDA); }

at::Tensor gpu_buffer(std::shared_ptr<void> memory, int64_t bytes) {
  const at::Device device = at::Device(at::kCUDA, c10::impl::VirtualGuardImpl(at::kCUDA).getDevice().index());
  void* const data = memory.get();
  return at::for_blob(data, {bytes})
      .deleter([charge = charge_of(bytes, ScopeCharge::Memory::none), memory = std::move(memory)](void*) {})
      .options(at::TensorOptions(device).dtype(at::kByte))
      .target_device(device)
      .make_tensor();
}

at::Tensor shared_buffer(void* data, int64_t bytes, std::shared_ptr<void> keep) {
  return at::from_blob(
      data, {bytes}, [keep = std::move(keep), charge = charge_of(bytes, ScopeCharge::Memory::shared)](void*) {},
      at::TensorOptions().dtype(at::kByte));
}

at::Tensor meta_buffer(int64_t bytes) { return buffer(bytes, at::kMeta); }

at::Tensor charged_meta_buffer(int64_t bytes, std::shared_ptr<void> keep) {
  struct Context {
    ScopeCharge charge;
    std::shared_ptr<void> keep;
  };
  auto context = std::unique_ptr<Context>(new Context{{bytes, ScopeCharge::Memory::none}, std::move(keep)});
  at::DataPtr nothing(nullptr, context.release(), [](void* ended) { delete static_cast<Context*>(ended); }, at::kMeta);
  const at::Storage storage(at::Storage::use_byte_size_t(), static_cast<size_t>(bytes), std::move(nothing), c10::GetAllocator(at::kMeta),
                            /*resizable=*/true);  // set_() on meta asks for it
  return at::empty({0}, at::TensorOptions(at::kMeta).dtype(at::kByte)).set_(storage, 0, {bytes}, {1});
}

}  // namespace zerorun
