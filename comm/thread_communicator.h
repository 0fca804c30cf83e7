// Ranks are threads of one process: for tests, and for examples on one machine. Collectives run inline on the calling
// thread and read the peers' memory in place; the Work they return is done.
#pragma once
#include <functional>
#include <memory>

#include "comm/communicator.h"

namespace zerorun {

// A collective that the ranks call with different kinds, sizes or dtypes throws an Error of kind disagreement on every
// rank, with both calls in its message; so does one that waits for a rank whose communicator is gone. Then, and after
// abort(), the world is broken: nothing runs any more.
class ThreadWorld {
 public:
  explicit ThreadWorld(int size);

  // REQUIRES: once for every rank. It may outlive the world; to destroy it says that the rank makes no call any more.
  std::unique_ptr<Communicator> communicator(int rank);
  // Ranks that wait in a collective, or come to one, throw PeerFailed. Safe on any thread.
  void abort();

 private:
  friend class ThreadCommunicator;
  struct Meeting;
  std::shared_ptr<Meeting> meeting_;
};

// Runs `body` on `size` threads, each with its communicator, and joins them. When one throws, the others leave their
// collectives at once; the first error is rethrown here.
void run_ranks(int size, const std::function<void(Communicator&)>& body);

}  // namespace zerorun
