// The counters behind a memory ledger. Private to core.
#pragma once
#include <atomic>
#include <cstdint>
#include <optional>

#include "core/arena.h"
#include "core/memory.h"

namespace zerorun::detail {

// A level that remembers its peak. Relaxed atomics: OpenMP workers allocate too.
class Level {
 public:
  int64_t add(int64_t bytes) {
    const int64_t now = now_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    int64_t peak = peak_.load(std::memory_order_relaxed);
    while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
    }
    return now;
  }
  int64_t now() const { return now_.load(std::memory_order_relaxed); }
  int64_t peak() const { return peak_.load(std::memory_order_relaxed); }
  void reset_peak() { peak_.store(now(), std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> now_{0};
  std::atomic<int64_t> peak_{0};
};

// Counted by its ledger and by every live block, so that a block may outlive the ledger.
class Account {
 public:
  enum class Where { arena, elsewhere };

  // Where the device is whose memory this counts.
  explicit Account(Side device) : device_(device) {}
  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  void charge(Category category, int64_t bytes, Where where = Where::elsewhere);
  Side device() const { return device_; }
  Arena& arena(Side side) { return side == Side::gpu ? gpu_arena_ : host_arena_; }
  // Whole pages for so many bytes come (or, below 0, go) beside the GPU's arena.
  void add_own_pages(int64_t bytes) { own_pages_.add(bytes < 0 ? -gpu_pages(-bytes) : gpu_pages(bytes)); }
  MemoryUsage usage() const;
  void reset_peaks();
  void set_listener(MemoryListener* listener) { listener_ = listener; }

 private:
  ~Account() = default;

  std::atomic<int64_t> references_{1};
  const Side device_;
  Arena host_arena_{Side::host}, gpu_arena_{Side::gpu};
  Level total_;
  Level elsewhere_;  // of the total, what is not in the arena
  Level own_pages_;  // of a GPU, beside its arena
  Level categories_[kCategoryCount];
  MemoryListener* listener_ = nullptr;
};

// Where an allocation of the calling thread belongs: its scope, else that of the thread it works for, else `unscoped`.
MemoryScope::State current_scope();

// A block: to whom it is charged, and where it lies.
struct Charge {
  static constexpr int64_t kElsewhere = -1;

  Account* account;
  Category category;
  Side side;
  int64_t bytes;
  int64_t offset;  // in the account's arena of that side, or kElsewhere

  // What the current scope takes, not yet charged; nothing where the arena has no memory for it.
  static std::optional<Charge> of_scope(size_t bytes, Side side, Arena::Memory memory);

  bool in_arena() const { return offset != kElsewhere; }
  char* address() const { return account->arena(side).at(offset); }
  void enter() const;
  // Of its place in the arena, too.
  void leave() const;
};

// This thread, a compute worker, charges to the scopes of the thread whose slot this is.
using ScopeSlot = std::atomic<const MemoryScope::State*>;
const ScopeSlot* scope_slot();
void follow_scopes_of(const ScopeSlot* slot);

}  // namespace zerorun::detail
