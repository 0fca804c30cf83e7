// What ranks of one host show each other, in memory that they share: the collectives that each has come to, in order, and how far
// it is with them. A collective takes one place of a ring on every rank's side; flags are atomic, and nobody waits in here.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "comm/collective.h"

namespace zerorun {

// Where in the memory that ranks share a span begins: a window, and bytes from its start.
struct Place {
  int64_t window = -1;  // below 0: elsewhere, in memory of the rank's own
  int64_t offset = 0;
};

inline constexpr int64_t kPostedBytes = 512;  // of an exchange, that travel on the board itself

struct Posting {
  Call call;
  Place place;
  bool takes = false;  // reads what others put in, which they must not touch before all are done
  std::array<std::byte, kPostedBytes> bytes;
};

class Board {
 public:
  static int64_t bytes_for(int ranks);
  // `memory` is zero, has bytes_for(ranks) bytes, and outlives the board.
  Board(void* memory, int rank, int ranks);
  int ranks() const { return ranks_; }

  // Collectives that may be under way at once. A place is free again when all ranks are done with what was there.
  static constexpr uint64_t kRing = 64;

  // Sequence numbers count from 1. REQUIRES done_by_all(sequence - kRing).
  Posting& prepare(uint64_t sequence) { return entry(rank_, sequence).posting; }
  void post(uint64_t sequence) { entry(rank_, sequence).posted.store(sequence, std::memory_order_release); }
  void set_done(uint64_t sequence) { entry(rank_, sequence).done.store(sequence, std::memory_order_release); }

  bool has_posted(int rank, uint64_t sequence) const { return entry(rank, sequence).posted.load(std::memory_order_acquire) >= sequence; }
  // REQUIRES has_posted, and that this rank is not done.
  const Posting& posting(int rank, uint64_t sequence) const { return entry(rank, sequence).posting; }
  bool is_done(int rank, uint64_t sequence) const { return entry(rank, sequence).done.load(std::memory_order_acquire) >= sequence; }
  bool posted_by_all(uint64_t sequence) const;
  bool done_by_all(uint64_t sequence) const;
  // REQUIRES posted_by_all.
  bool calls_agree(uint64_t sequence) const;

  // This process, for the others' watch over it.
  void sign(int64_t process) { sides_[rank_].process.store(process, std::memory_order_release); }
  int64_t process(int rank) const { return sides_[rank].process.load(std::memory_order_acquire); }
  void tell(const Activity& activity);
  // Of two texts, where the rank is just about to tell another.
  Activity activity(int rank) const;

  // The collective that this rank waits in, 0 where in none.
  void wait_in(uint64_t sequence) { sides_[rank_].waits_in.store(sequence, std::memory_order_release); }
  uint64_t waits_in(int rank) const { return sides_[rank].waits_in.load(std::memory_order_acquire); }

  // A rank that comes to no collective any more.
  enum class State : int { running, gave_up, ended };
  void leave(State state) { sides_[rank_].state.store(state, std::memory_order_release); }
  State state(int rank) const { return sides_[rank].state.load(std::memory_order_acquire); }

 private:
  struct alignas(64) Entry {
    std::atomic<uint64_t> posted, done;
    Posting posting;
  };
  struct Side {
    std::array<Entry, kRing> ring;
    alignas(64) std::atomic<State> state;
    std::atomic<int64_t> process;
    std::atomic<uint64_t> waits_in;
    std::array<std::atomic<uint64_t>, Activity::kBytes / sizeof(uint64_t)> activity;
  };
  static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<State>::is_always_lock_free);

  Entry& entry(int rank, uint64_t sequence) const { return sides_[rank].ring[sequence % kRing]; }

  Side* sides_;
  int rank_, ranks_;
};

}  // namespace zerorun
