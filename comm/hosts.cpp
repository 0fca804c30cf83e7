#include "comm/hosts.h"

#include <set>

namespace zerorun {

std::optional<Hosts> plain_hosts(const std::vector<int64_t>& host_of_rank) {
  const int ranks = static_cast<int>(host_of_rank.size());
  const int count = static_cast<int>(std::set(host_of_rank.begin(), host_of_rank.end()).size());
  if (count == 0 || ranks % count != 0) return {};
  const Hosts hosts{count, ranks / count};
  for (int rank = 0; rank < ranks; ++rank) {
    if (host_of_rank[rank] != host_of_rank[hosts.host_of(rank) * hosts.ranks_of_each]) return {};
  }
  return hosts;
}

}  // namespace zerorun
