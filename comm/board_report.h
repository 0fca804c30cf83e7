// What the board shows, in words.
#pragma once
#include <string>
#include <vector>

#include "comm/board.h"

namespace zerorun {

// "rank 2 (process 123 on host) is in update, step 12; ranks 0, 1, 3 wait in reduce_scatter of ...": of `others`, and of all that wait.
// The board's ranks are called `first_rank` and on. `are` is what is said of a rank that is not stopped. On any thread; what ranks do meanwhile may be seen or not.
std::string describe_ranks(const Board& board, int first_rank, const std::vector<int>& others, const char* are);

}  // namespace zerorun
