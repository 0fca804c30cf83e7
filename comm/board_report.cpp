#include "comm/board_report.h"

#include <algorithm>
#include <map>

#include "comm/process_watch.h"
#include "comm/rank_words.h"
#include "core/host_name.h"

namespace zerorun {

std::string describe_ranks(const Board& board, int first_rank, const std::vector<int>& others, const char* are) {
  std::string text;
  for (const int r : others) {
    const bool stopped = process_state(board.process(r)) == 'T';
    text += text.empty() ? "" : ", ";
    text += rank_in(first_rank + r, board.process(r), host_name(), stopped ? "is stopped" : are, board.activity(r));
  }
  std::map<std::string, std::vector<int>> waiting;
  for (int r = 0; r < board.ranks(); ++r) {
    const uint64_t sequence = board.waits_in(r);
    if (sequence && std::ranges::find(others, r) == others.end()) waiting[board.posting(r, sequence).call.describe()].push_back(first_rank + r);
  }
  for (const auto& [call, those] : waiting) text += "; " + ranks_that(those, "waits", "wait") + " in " + call;
  return text;
}

}  // namespace zerorun
