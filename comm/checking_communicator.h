// Compares every collective between all ranks before it moves, in the order of the calls: for the search for a rank that takes another path.
// Costs a small exchange and a wait for all ranks each. HostCommunicator does as much by itself, at no cost.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "comm/collective.h"
#include "comm/forwarding_communicator.h"

namespace zerorun {

// A call, dtype, size or activity that is not that of all ranks is Error(disagreement) on all of them, which says who calls what.
class CheckingCommunicator : public ForwardingCommunicator {
 public:
  // The calls are compared over `control`, of the same ranks, which is told of no activity. Where it waits too long, `who_is_late` may know more: whom it
  // waits for may wait in turn.
  CheckingCommunicator(std::shared_ptr<Communicator> inner, std::shared_ptr<Communicator> control, std::function<std::string()> who_is_late = {});

  Work all_gather(Span slice, Span full) override;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override;
  Work all_reduce(Span full, Span scratch) override;
  void exchange(const void* mine, void* all, int64_t bytes) override;
  void tell(const Activity& activity) override;

 private:
  void check(Collective kind, at::ScalarType dtype, int64_t count);

  const std::shared_ptr<Communicator> owned_, control_;
  const std::function<std::string()> who_is_late_;
  Activity activity_;
};

}  // namespace zerorun
