#include "offload/store.h"

#include "core/error.h"

namespace zerorun {

void check_range(const Store& store, int64_t offset, std::span<const std::byte> memory) {
  const auto size = static_cast<int64_t>(memory.size());
  ZR_CHECK(offset >= 0 && offset + size <= store.bytes(), "bytes {} to {} of a store of {}", offset, offset + size, store.bytes());
  const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory.data()));
  ZR_CHECK(offset % kStoreAlignment == 0 && size % kStoreAlignment == 0 && address % kStoreAlignment == 0,
           "{} bytes at {} of a store, from memory at {:#x}; expected multiples of {}", size, offset, address, kStoreAlignment);
}

}  // namespace zerorun
