#include "comm/board.h"

#include <bit>

namespace zerorun {
namespace {

using Words = std::array<uint64_t, Activity::kBytes / sizeof(uint64_t)>;

}  // namespace

int64_t Board::bytes_for(int ranks) { return ranks * static_cast<int64_t>(sizeof(Side)); }

// Zero bytes are a Side at its start: no process has to construct what the others see.
Board::Board(void* memory, int rank, int ranks) : sides_(static_cast<Side*>(memory)), rank_(rank), ranks_(ranks) {}

void Board::tell(const Activity& activity) {
  const auto words = std::bit_cast<Words>(activity);
  for (size_t i = 0; i < words.size(); ++i) sides_[rank_].activity[i].store(words[i], std::memory_order_relaxed);
}

Activity Board::activity(int rank) const {
  Words words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = sides_[rank].activity[i].load(std::memory_order_relaxed);
  return std::bit_cast<Activity>(words);
}

bool Board::posted_by_all(uint64_t sequence) const {
  for (int r = 0; r < ranks_; ++r) {
    if (!has_posted(r, sequence)) return false;
  }
  return true;
}

bool Board::done_by_all(uint64_t sequence) const {
  for (int r = 0; r < ranks_; ++r) {
    if (!is_done(r, sequence)) return false;
  }
  return true;
}

bool Board::calls_agree(uint64_t sequence) const {
  for (int r = 1; r < ranks_; ++r) {
    if (posting(r, sequence).call != posting(0, sequence).call) return false;
  }
  return true;
}

}  // namespace zerorun
