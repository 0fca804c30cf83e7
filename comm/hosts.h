// Which ranks sit on which host. Hierarchical collectives need the plain case: as many ranks on each, one after the other.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace zerorun {

struct Hosts {
  int count = 1;
  int ranks_of_each = 1;

  int host_of(int rank) const { return rank / ranks_of_each; }
  int place_of(int rank) const { return rank % ranks_of_each; }
};

// Of the host of each rank, whose numbers may be any. Nothing where hosts differ in their ranks, or these do not follow each other.
std::optional<Hosts> plain_hosts(const std::vector<int64_t>& host_of_rank);

}  // namespace zerorun
