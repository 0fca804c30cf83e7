// The plan of a strict reduction between ranks that see nothing of each other's memory: unsummed parts go to the owner of their slice in rounds, who sums
// them in rank order. Offsets only: who moves bytes reads them here, and a test plays all ranks.
#pragma once
#include <cstdint>

namespace zerorun {

// In a round each rank sends every other rank that rank's part of its full span, and gets as many parts of its own slice. They lie side by side, by
// rank, in the scratch; its own is copied there. All offsets and sizes are bytes.
struct RankRound {
  int64_t begin;  // in every slice
  int64_t bytes;  // of each part
};

// REQUIRES 0 <= piece_bytes, 0 < piece_bytes where slice_bytes > 0, and pieces of whole elements. The scratch is ranks * piece bytes at most.
class RankRounds {
 public:
  RankRounds(int64_t slice_bytes, int64_t piece_bytes) : slice_bytes_(slice_bytes), piece_bytes_(piece_bytes) {}

  int64_t count() const { return slice_bytes_ == 0 ? 0 : (slice_bytes_ + piece_bytes_ - 1) / piece_bytes_; }
  RankRound operator[](int64_t index) const {
    const int64_t begin = index * piece_bytes_, left = slice_bytes_ - begin;
    return {begin, left < piece_bytes_ ? left : piece_bytes_};
  }
  // Of what goes to `owner`, in the full span of whoever sends it.
  int64_t in_full(const RankRound& round, int owner) const { return owner * slice_bytes_ + round.begin; }
  // Of what comes from `sender`, in the scratch.
  static int64_t in_scratch(const RankRound& round, int sender) { return sender * round.bytes; }

 private:
  int64_t slice_bytes_, piece_bytes_;
};

}  // namespace zerorun
