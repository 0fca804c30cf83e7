// One small value of every rank.
#pragma once
#include <vector>

#include "comm/communicator.h"

namespace zerorun {

// Every rank's value, by rank: the same on all of them. Collective; sends sizeof(Value) to each rank, as control. Value is copied as
// bytes.
template <typename Value>
std::vector<Value> gather(Communicator& communicator, const Value& own) {
  std::vector<Value> all(communicator.size());
  communicator.exchange(&own, all.data(), sizeof(own));
  return all;
}

}  // namespace zerorun
