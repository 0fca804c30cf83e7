#include "comm/board_report.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "comm/process_watch.h"

namespace zerorun {
namespace {

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

std::string activity_of(const Board& board, int rank) {
  const auto activity = board.activity(rank);
  return activity.text().empty() ? "the start" : std::string(activity.text());
}

}  // namespace

std::string describe_ranks(const Board& board, int ranks, const std::vector<int>& others, const char* are) {
  std::string text;
  for (const int r : others) {
    const bool stopped = process_state(board.process(r)) == 'T';
    text += fmt::format("{}rank {} (process {} on {}) {} in {}", text.empty() ? "" : ", ", r, board.process(r), host_name(), stopped ? "is stopped" : are,
                        activity_of(board, r));
  }
  std::map<std::string, std::vector<int>> waiting;
  for (int r = 0; r < ranks; ++r) {
    const uint64_t sequence = board.waits_in(r);
    if (sequence && std::ranges::find(others, r) == others.end()) waiting[board.posting(r, sequence).call.describe()].push_back(r);
  }
  for (const auto& [call, those] : waiting) {
    text += fmt::format("; rank{} {} wait{} in {}", those.size() > 1 ? "s" : "", fmt::join(those, ", "), those.size() > 1 ? "" : "s", call);
  }
  return text;
}

}  // namespace zerorun
