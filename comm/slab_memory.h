// Buffers in memory that comes in large pieces only. What NCCL allocates is rounded up to what the switch between GPUs maps at a time (2 MiB, or 512 MiB): a piece for
// each buffer would take many times what is asked for. So a piece, a slab, is filled with buffers, each in the narrowest gap that there is, before there is another.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "core/arena_layout.h"
#include "core/memory.h"

namespace zerorun {

// Thread-safe, but that slabs are made by one thread at a time. Equal sizes in equal order lie at equal places.
class SlabMemory : public std::enable_shared_from_this<SlabMemory> {
 public:
  struct Slab {
    char* data = nullptr;  // null where it stands for one
    int64_t bytes = 0;
  };
  struct Source {
    std::function<Slab(int64_t least_bytes)> make;  // may throw; whole pages of the GPU
    std::function<void(char* data)> release;
    std::function<void()> settle;  // before a place is used again: what computes may still read it
  };

  // `source` makes inside of take(), and releases and settles as long as a buffer lives.
  static std::shared_ptr<SlabMemory> of(Source source) { return std::shared_ptr<SlabMemory>(new SlabMemory(std::move(source))); }

  struct Buffer {
    std::shared_ptr<void> memory;  // until its last copy goes; it may be null
    int slab;                      // by the order of their making
    int64_t offset;                // in it, a multiple of 4 KiB
  };
  // The pages of a new slab count as those of the calling thread's scope. REQUIRES bytes > 0.
  Buffer take(int64_t bytes);

 private:
  explicit SlabMemory(Source source) : source_(std::move(source)) {}

  struct Kept {
    Slab slab;
    detail::ArenaLayout layout;
    std::unique_ptr<PagesCharge> pages;
  };
  struct Place {
    int slab;
    int64_t offset, bytes;
    char* data;
  };
  Place place(int64_t bytes);
  void give_back(const Place& place) noexcept;

  const Source source_;
  std::mutex mutex_;
  std::map<int, Kept> slabs_;
  int made_ = 0;
};

}  // namespace zerorun
