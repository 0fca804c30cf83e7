// What ranks make sure of before they work on something together.
#pragma once
#include <vector>

#include "comm/communicator.h"
#include "launcher/settings.h"

namespace zerorun {

// Every rank's value, by rank. Collective.
template <typename Value>
std::vector<Value> gather(Communicator& communicator, const Value& own) {
  std::vector<Value> all(communicator.size());
  communicator.exchange(&own, all.data(), sizeof(own));
  return all;
}

// Every rank read the file itself: throws Error(disagreement) where they have not read the same. Collective.
void agree(Communicator& communicator, const Settings& settings);

// Throws Error(configuration) where comm.backend asks for what this build does not have.
void check_backend(const Settings& settings);

}  // namespace zerorun
