// The memory ledger: every byte is charged to a category where it is allocated, and discharged when it is freed, on
// whatever thread that happens. Bytes are requested bytes, exact. One ledger per rank; ranks may be threads of a process.
#pragma once
#include <array>
#include <cstdint>

#include "core/span.h"

namespace zerorun {

enum class Category : uint8_t {
  parameters,     // resident parameters: full at stages 0-2, own slices at stage 3
  gradients,      // accumulators of summed gradients
  optimizer,      // states of the optimizer
  gathered,       // slots for gathered units (stage 3)
  communication,  // slots of not yet summed gradients, scratch of collectives
  activations,    // all that a unit's forward or backward allocates
  workspace,      // scratch that a scope names inside of those
  unscoped,       // allocated without a scope: a defect
  host,           // sleeping in host memory
  disk,           // sleeping on disk
};
inline constexpr int kCategoryCount = 10;

const char* name_of(Category category);
// Whether the category counts in the device's total (all but host and disk).
bool on_device(Category category);

// Peaks are by moment: total_peak is the peak of the simultaneous sum over the device's categories, not a sum of peaks.
// Blocks of 64 KiB and more lie in the ledger's arena, whose pages stay: what it holds in the end is its highest end so far, and
// arena_overhead = that + the peak of the bytes that lie elsewhere - total_peak, so that total_peak + arena_overhead is resident.
// It is gaps between blocks, 64 bytes for each, and what the two peaks were apart in time; never below 0.
struct MemoryUsage {
  std::array<int64_t, kCategoryCount> now{};
  std::array<int64_t, kCategoryCount> peak{};
  int64_t total_now = 0;
  int64_t total_peak = 0;
  int64_t arena_overhead = 0;
  int64_t gpu_reserved = 0;  // where the device is a GPU: whole pages, of the arena as far as it has reached and of what lies beside it (PagesCharge)

  int64_t now_of(Category category) const { return now[static_cast<int>(category)]; }
  int64_t peak_of(Category category) const { return peak[static_cast<int>(category)]; }
};

namespace detail {
class Account;  // the counters behind a ledger; lives until its last block is freed
}

// Hears of every change of a ledger, right after it, on the thread that makes it.
class MemoryListener {
 public:
  virtual ~MemoryListener() = default;
  virtual void changed(Category category, int64_t bytes) = 0;  // more, or below 0 less
};

// Thread-safe. A block that outlives its ledger is safe.
class MemoryLedger {
 public:
  // `device`: where the device is whose memory it counts. With a GPU, what the host's allocator gives out is `host`, whatever the scope says, and all that the
  // device's gives out lies in the ledger's arena there.
  explicit MemoryLedger(Side device = Side::host);
  ~MemoryLedger();
  MemoryLedger(const MemoryLedger&) = delete;
  MemoryLedger& operator=(const MemoryLedger&) = delete;

  Side device() const;

  // For memory that no tensor allocator gives out (windows, mapped files). Negative bytes discharge.
  void charge(Category category, int64_t bytes);
  MemoryUsage usage() const;
  // Peaks restart from what is live now, but for the arena's, whose pages are still there.
  void reset_peaks();
  // From now on; null: nobody. REQUIRES that nothing is allocated or freed meanwhile, and that the listener outlives what it hears of.
  void set_listener(MemoryListener* listener);

 private:
  friend class MemoryScope;
  detail::Account* account_;
};

// What this thread allocates while the scope lives is charged to {ledger, category}. Scopes nest; the inner one wins.
class MemoryScope {
 public:
  MemoryScope(MemoryLedger& ledger, Category category);
  // The ledger of the enclosing scope, another category; without an enclosing scope it does nothing.
  explicit MemoryScope(Category category);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

  struct State {
    detail::Account* account = nullptr;
    Category category = Category::unscoped;
  };

 private:
  State state_;
  const State* enclosing_;
};

// Where the device is whose memory the calling thread's scope counts: on the meta device it is the one that is foretold, whose scratch an
// op takes then.
Side device_of_scope();

// Charges `bytes` to the scope of the calling thread, as a tensor's would be, until it is destroyed: for a tensor over this
// rank's part of memory that processes share, or, without memory, for one of the meta device that stands for such a tensor.
class ScopeCharge {
 public:
  enum class Memory { none, shared };
  ScopeCharge(int64_t bytes, Memory memory);
  ~ScopeCharge();
  ScopeCharge(const ScopeCharge&) = delete;
  ScopeCharge& operator=(const ScopeCharge&) = delete;

 private:
  MemoryScope::State scope_;
  int64_t bytes_;
  Memory memory_;
};

// Whole pages of a GPU, beside the arena, that the scope of the calling thread has reserved until this is destroyed: for memory of another allocator. Its buffers are
// charged by themselves.
class PagesCharge {
 public:
  explicit PagesCharge(int64_t bytes);
  ~PagesCharge();
  PagesCharge(const PagesCharge&) = delete;
  PagesCharge& operator=(const PagesCharge&) = delete;

 private:
  detail::Account* account_;
  int64_t bytes_;
};

// What this process holds of shared memory under charges of ScopeCharge: memory that is shared, and no anonymous memory of its own.
int64_t shared_bytes();

// What was allocated in this process without any scope since install_counting_allocators().
MemoryUsage unscoped_usage();

// Puts the counting allocators in front of LibTorch's, for cpu and meta. REQUIRES: called once, first thing in main,
// before LibTorch allocates. Costs about 100 ns and 64 bytes per block. Blocks of 64 KiB and more come from the arena of the ledger
// that they are charged to, and go back to the kernel when it and they are gone; smaller ones from malloc, which is told
// to give blocks of that size that are no tensors back at once.
void install_counting_allocators();

}  // namespace zerorun
