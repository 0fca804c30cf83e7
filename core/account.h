// The counters behind a memory ledger. Private to core.
#pragma once
#include <atomic>
#include <cstdint>

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

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  void charge(Category category, int64_t bytes, Where where = Where::elsewhere);
  Arena& arena() { return arena_; }
  MemoryUsage usage() const;
  void reset_peaks();

 private:
  ~Account() = default;

  std::atomic<int64_t> references_{1};
  Arena arena_;
  Level total_;
  Level elsewhere_;  // of the total, what is not in the arena
  Level categories_[kCategoryCount];
};

// Where an allocation of the calling thread belongs: its scope, else that of the thread it works for, else `unscoped`.
MemoryScope::State current_scope();

// This thread, a compute worker, charges to the scopes of the thread whose slot this is.
using ScopeSlot = std::atomic<const MemoryScope::State*>;
const ScopeSlot* scope_slot();
void follow_scopes_of(const ScopeSlot* slot);

}  // namespace zerorun::detail
