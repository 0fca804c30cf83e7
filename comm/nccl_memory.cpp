// Memory that NCCL allocates and knows: peers, and the switch between them, read and write it in place.
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include "comm/nccl_group.h"
#include "core/error.h"
#include "core/gpu/mapped_bytes.h"

namespace zerorun {

static_assert(NCCL_WIN_REQUIRED_ALIGNMENT <= 4096, "where SlabMemory puts buffers");

SlabMemory::Slab NcclGroup::allocate(int64_t least_bytes) {
  void* data = nullptr;
  if (const auto result = ncclMemAlloc(&data, static_cast<size_t>(least_bytes)); result != ncclSuccess) {
    fail(ErrorKind::out_of_memory, "{}",
         nccl_failure_message(name_, fmt::format("a buffer of {} bytes", least_bytes), ncclGetErrorString(result), ncclGetLastError(comm_)));
  }
  return {static_cast<char*>(data), gpu::mapped_bytes(data)};
}

void NcclGroup::register_memory(void* data, int64_t bytes) {
  if (!options_.register_buffers) return;
  // NCCL writes it when the registration is done, in a place that stays.
  ncclWindow_t* const window = [&] {
    const std::lock_guard lock(calls_);
    return &windows_.emplace(data, nullptr).first->second;
  }();
  call("the registration of a buffer", [&](ncclComm_t comm) { return ncclCommWindowRegister(comm, data, static_cast<size_t>(bytes), window, NCCL_WIN_COLL_SYMMETRIC); });
}

// Where a collective hangs that could not be ended the memory is left to the end of the process.
void NcclGroup::free(void* data) noexcept {
  try {
    const c10::cuda::CUDAGuard guard(device_);
    if (is_stuck_) return;
    deregister(data);
    if (!is_stuck_) static_cast<void>(ncclMemFree(data));
  } catch (const std::exception&) {
    // What failed is known to who calls a collective.
  }
}

void NcclGroup::settle_memory() noexcept {
  if (is_stuck_) return;
  try {
    const c10::cuda::CUDAGuard guard(device_);
    static_cast<void>(cudaDeviceSynchronize());
  } catch (const std::exception&) {
    // As above.
  }
}

void NcclGroup::deregister(void* data) {
  ncclWindow_t window = nullptr;
  {
    const std::lock_guard lock(calls_);
    const auto place = windows_.find(data);
    if (place == windows_.end()) return;
    window = place->second;
    windows_.erase(place);
    if (!comm_ || !window) return;  // where GPUs cannot see each other there are none
  }
  call("the end of a buffer", [&](ncclComm_t comm) { return ncclCommWindowDeregister(comm, window); });
}

}  // namespace zerorun
