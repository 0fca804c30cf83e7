// Ranks on several hosts. Between hosts a slice travels once to each, to the rank of the same place there; inside a host ranks read it from
// each other's memory. A reduction is summed inside first, so that one part of each host travels, not one of each rank: its sum is in another
// order, and where that matters (`strict`) unsummed parts travel, and every bit is that of the other backends.
//
// All of it happens on one communication thread, in the order of the calls, while the caller computes.
#pragma once
#include <atomic>
#include <exception>
#include <memory>

#include "comm/host_communicator.h"
#include "comm/hosts.h"
#include "comm/roll_call.h"
#include "core/stream.h"

namespace zerorun {

class MpiSession;
class MpiTransport;

// Errors: as HostCommunicator inside a host, as MpiCommunicator between hosts; a timeout names who is late of all ranks.
class HierarchicalCommunicator : public Communicator {
 public:
  // Collective over the ranks of `session`, which it must not outlive.
  HierarchicalCommunicator(MpiSession& session, Hosts hosts, bool strict, const HostWatch& watch);
  // Completes what was issued; the peers must issue it too.
  ~HierarchicalCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Work all_gather(Span slice, Span full) override;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override;
  Work all_reduce(Span full, Span scratch) override;
  void exchange(const void* mine, void* all, int64_t bytes) override;
  at::Tensor allocate(int64_t bytes) override;
  Readers readers() const override { return Readers::host; }
  void tell(const Activity& activity) override;
  void abandon() noexcept override;
  // As RollCall's, for who waits beside it.
  std::string who_is_late() { return roll_call_.who_is_late(); }

 private:
  std::unique_ptr<HostCommunicator> connect_inside(HostWatch watch) const;
  Work submit(const Call& call, std::function<void()> task);
  void run(uint64_t number, const Call& call, const std::function<void()>& task);
  void gather(const Call& call, Span slice, Span full);
  void reduce(const Call& call, Span full, Span slice, Span scratch);
  // Of the slices that belong to the ranks of a host.
  Span block(Span full, int host) const { return full.slice(host, hosts_.count); }
  Span own_place(Span full, int host) const { return block(full, host).slice(hosts_.place_of(rank_), hosts_.ranks_of_each); }

  const int rank_, size_;
  const Hosts hosts_;
  const bool strict_;
  const double timeout_seconds_;
  const int exceptions_at_start_ = std::uncaught_exceptions();
  Activity activity_;
  RollCall roll_call_;
  std::atomic<bool> abandoned_ = false;
  std::atomic<int> under_way_ = 0;
  std::unique_ptr<MpiSession> host_session_, place_session_;  // the ranks of this host; those of this rank's place on all
  std::unique_ptr<HostCommunicator> inside_;
  std::unique_ptr<MpiTransport> all_ranks_, between_;
  ThreadStream stream_;
};

}  // namespace zerorun
