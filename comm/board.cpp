#include "comm/board.h"

namespace zerorun {

int64_t Board::bytes_for(int ranks) { return ranks * static_cast<int64_t>(sizeof(Side)); }

// Zero bytes are a Side at its start: no process has to construct what the others see.
Board::Board(void* memory, int rank, int ranks) : sides_(static_cast<Side*>(memory)), rank_(rank), ranks_(ranks) {}

bool Board::posted_by_all(uint64_t sequence) const {
  for (int r = 0; r < ranks_; ++r) {
    if (!has_posted(r, sequence)) return false;
  }
  return true;
}

bool Board::done_by_all(uint64_t sequence) const {
  for (int r = 0; r < ranks_; ++r) {
    if (entry(r, sequence).done.load(std::memory_order_acquire) < sequence) return false;
  }
  return true;
}

}  // namespace zerorun
