#include "comm/rank_words.h"

#include <fmt/ranges.h>

namespace zerorun {

std::string ranks_that(const std::vector<int>& ranks, std::string_view one, std::string_view many) {
  const bool is_one = ranks.size() == 1;
  return fmt::format("rank{} {} {}", is_one ? "" : "s", fmt::join(ranks, ", "), is_one ? one : many);
}

std::string rank_in(int rank, int64_t process, std::string_view host, std::string_view is, const Activity& activity) {
  return fmt::format("rank {} (process {} on {}) {} in {}", rank, process, host, is, activity.text().empty() ? "the start" : activity.text());
}

}  // namespace zerorun
