// How messages speak of ranks.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "comm/activity.h"

namespace zerorun {

// "rank 2 waits", "ranks 0, 1, 3 wait".
std::string ranks_that(const std::vector<int>& ranks, std::string_view one, std::string_view many);

// "rank 2 (process 123 on host) is in update, step 12"; a rank that has told nothing yet is in the start.
std::string rank_in(int rank, int64_t process, std::string_view host, std::string_view is, const Activity& activity);

}  // namespace zerorun
