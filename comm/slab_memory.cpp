#include "comm/slab_memory.h"

#include <optional>

#include "core/error.h"

namespace zerorun {
namespace {

constexpr int64_t kAlignment = 4096;  // of a place, and of NCCL's windows

}  // namespace

SlabMemory::Buffer SlabMemory::take(int64_t bytes) {
  const Place taken = place((bytes + kAlignment - 1) / kAlignment * kAlignment);
  return {{taken.data, [self = shared_from_this(), taken](void*) { self->give_back(taken); }}, taken.slab, taken.offset};
}

SlabMemory::Place SlabMemory::place(int64_t bytes) {
  const auto put = [bytes](int number, Kept& kept) -> std::optional<Place> {
    const int64_t offset = kept.layout.place(bytes);
    if (offset + bytes > kept.slab.bytes) return std::nullopt;
    kept.layout.take(offset, bytes);
    return Place{number, offset, bytes, kept.slab.data ? kept.slab.data + offset : nullptr};
  };
  {
    const std::lock_guard lock(mutex_);
    for (auto& [number, kept] : slabs_) {
      if (const auto place = put(number, kept)) return *place;
    }
  }
  const Slab slab = source_.make(bytes);
  ZR_CHECK(slab.bytes >= bytes, "a slab of {} bytes for {}", slab.bytes, bytes);
  auto pages = std::make_unique<PagesCharge>(slab.bytes);
  const std::lock_guard lock(mutex_);
  const int number = made_++;
  return *put(number, slabs_.emplace(number, Kept{slab, {}, std::move(pages)}).first->second);
}

void SlabMemory::give_back(const Place& place) noexcept {
  source_.settle();
  Kept empty;
  {
    const std::lock_guard lock(mutex_);
    const auto found = slabs_.find(place.slab);
    found->second.layout.free(place.offset, place.bytes);
    if (found->second.layout.end() > 0) return;
    empty = std::move(found->second);
    slabs_.erase(found);
  }
  source_.release(empty.slab.data);
}

}  // namespace zerorun
