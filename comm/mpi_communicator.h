// Ranks are MPI processes. All MPI calls are made on one communication thread, in the order of the collectives, which
// are asynchronous. They are non-blocking point-to-point messages that the thread completes by polling: it spins shortly,
// yields, then sleeps some tens of microseconds at a time, because it shares the cores with the computation.
// A reduction sends unsummed pieces to the owner of the slice, who sums them in rank order; two rounds are in flight.
#pragma once
#include <atomic>
#include <memory>

#include "comm/communicator.h"
#include "core/stream.h"

namespace zerorun {

class MpiSession;
class MpiTransport;

// Errors: disagreement when a peer's message is of another collective, dtype, size or activity; io for what MPI reports. After an
// error messages may still be under way: the only way on is MpiSession::abort().
class MpiCommunicator : public Communicator {
 public:
  // Collective over the ranks of `session`, of which it uses an own duplicate. A wait of `timeout_seconds`, unless 0, is Error(timeout) that
  // names who has not come. REQUIRES: `session` outlives it.
  // Its ranks are called `first_rank` and on in what is said.
  explicit MpiCommunicator(MpiSession& session, double timeout_seconds = 0, int first_rank = 0);
  // Completes what was issued; the peers must issue it too.
  ~MpiCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Work all_gather(Span slice, Span full) override;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override;
  Work all_reduce(Span full, Span scratch) override;
  void exchange(const void* mine, void* all, int64_t bytes) override;
  at::Tensor allocate(int64_t bytes) override;
  void tell(const Activity& activity) override { activity_ = activity; }
  void abandon() noexcept override;

 private:
  const int rank_;
  const int size_;
  Activity activity_;
  std::atomic<bool> abandoned_ = false;
  std::unique_ptr<MpiTransport> transport_;  // used on the stream's thread only
  ThreadStream stream_;
};

}  // namespace zerorun
