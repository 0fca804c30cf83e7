#include "offload/store.h"

#include "core/error.h"

namespace zerorun {

void check_extents(const Store& store, Extents extents) {
  for (const auto& [offset, memory] : extents) {
    const auto size = static_cast<int64_t>(memory.size());
    ZR_CHECK(offset >= 0 && offset + size <= store.bytes(), "bytes {} to {} of a store of {}", offset, offset + size, store.bytes());
    const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory.data()));
    ZR_CHECK(offset % kStoreAlignment == 0 && size % kStoreAlignment == 0 && address % kStoreAlignment == 0,
             "{} bytes at {} of a store, from memory at {:#x}; expected multiples of {}", size, offset, address, kStoreAlignment);
  }
}

}  // namespace zerorun
