// What a search found, in words, as a table and as JSON.
#pragma once
#include <string>

#include "launcher/planner/search.h"

namespace zerorun {

// What was searched for.
struct Searched {
  std::string device;        // "h100 (NVIDIA H100 SXM5 data sheet; ...)", "this machine"
  int64_t parameters = 0;
  int ranks = 1, hosts = 1;
  int64_t tokens = 0;        // of a step, of all ranks
  SpaceLimits limits;
};

// Text of at most 100 columns: the best plans, why the first is the best, what it leaves behind the second, and what was rejected, by what falls short.
std::string search_table(const SearchResult& result, const Searched& searched);
// Two sentences. REQUIRES a plan.
std::string winner_in_words(const SearchResult& result, const Searched& searched);
// One sentence, of the second that is worthwhile; empty where there is none.
std::string runner_up_in_words(const SearchResult& result);
// The nearest of those that fall short of each resource. REQUIRES that nothing fits.
std::string why_nothing_fits(const SearchResult& result);
// {"searched": ..., "plans": [...], "rejected": [...]}, the best plan first. No newline at the end.
std::string search_json(const SearchResult& result, const Searched& searched);

}  // namespace zerorun
