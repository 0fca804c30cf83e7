#include "comm/hierarchical_communicator.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <omp.h>

#include "comm/mpi_communicator.h"
#include "comm/mpi_session.h"
#include "comm/mpi_transport.h"
#include "comm/rank_sum.h"
#include "core/error.h"

namespace zerorun {

HierarchicalCommunicator::HierarchicalCommunicator(MpiSession& session, Hosts hosts, bool strict, const HostWatch& watch)
    : rank_(session.rank()),
      size_(session.size()),
      hosts_(hosts),
      strict_(strict),
      timeout_seconds_(watch.timeout_seconds),
      roll_call_(session),
      host_session_(session.split(hosts.host_of(rank_))),
      place_session_(session.split(hosts.place_of(rank_))),
      inside_(connect_inside(watch)) {
  stream_.submit([&] {
    at::get_num_threads();  // as many as the program's: from now on one, the others compute
    omp_set_num_threads(1);
    WaitLimits limits{abandoned_, watch.timeout_seconds};
    all_ranks_ = std::make_unique<MpiTransport>(session.communicator(), limits);
    limits.names = {hosts_.place_of(rank_), hosts_.ranks_of_each};
    between_ = std::make_unique<MpiTransport>(place_session_->communicator(), limits, limits.names);
  }).wait();
}

std::unique_ptr<HostCommunicator> HierarchicalCommunicator::connect_inside(HostWatch watch) const {
  watch.first_rank = hosts_.host_of(rank_) * hosts_.ranks_of_each;
  return std::make_unique<HostCommunicator>(std::make_shared<MpiCommunicator>(*host_session_, watch.timeout_seconds, watch.first_rank), watch);
}

HierarchicalCommunicator::~HierarchicalCommunicator() {
  if (std::uncaught_exceptions() > exceptions_at_start_) inside_->interrupt();  // it is destroyed on a thread that does not unwind
  try {
    stream_.submit([this] { inside_.reset(); }).wait();
  } catch (const std::exception&) {
    // What failed is known to who waits for it.
  }
  stream_.submit([this] {
    between_.reset();
    all_ranks_.reset();
  });
}

Work HierarchicalCommunicator::all_gather(Span slice, Span full) {
  check_all_gather(*this, slice, full);
  check_data(slice);
  check_data(full);
  const Call call{Collective::all_gather, slice.dtype, slice.count, activity_};
  return submit(call, [=, this] { gather(call, slice, full); });
}

Work HierarchicalCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  check_reduce_scatter(*this, full, slice, scratch);
  check_data(full);
  check_data(slice);
  check_data(scratch);
  const Call call{Collective::reduce_scatter, full.dtype, full.count, activity_};
  return submit(call, [=, this] {
    reduce(call, full, slice, scratch);
    for_each_block(slice, on_block);
  });
}

Work HierarchicalCommunicator::all_reduce(Span full, Span scratch) {
  check_all_reduce(*this, full, scratch);
  check_data(full);
  check_data(scratch);
  const Call call{Collective::all_reduce, full.dtype, full.count, activity_};
  return submit(call, [=, this] {
    const Span own = full.slice(rank_, size_);
    reduce(call, full, own, scratch);
    gather(call, own, full);
  });
}

void HierarchicalCommunicator::exchange(const void* mine, void* all, int64_t bytes) {
  check_exchange(mine, all, bytes);
  const Span slice{const_cast<void*>(mine), bytes, at::kByte}, full{all, bytes * size_, at::kByte};
  const Call call{Collective::exchange, at::kByte, bytes, activity_};
  submit(call, [=, this] { all_ranks_->gather(call, slice, full); }).wait();
}

// On the caller's thread, whose memory scope pays; nothing is under way then.
at::Tensor HierarchicalCommunicator::allocate(int64_t bytes) {
  stream_.submit([] {}).wait();
  return inside_->allocate(bytes);
}

void HierarchicalCommunicator::tell(const Activity& activity) {
  activity_ = activity;
  inside_->show(activity);
  roll_call_.tell(activity);
}

// Where nothing is under way there is nothing to give up.
void HierarchicalCommunicator::abandon() noexcept {
  if (under_way_ == 0) return;
  abandoned_ = true;
  inside_->interrupt();
  try {
    stream_.submit([] {}).wait();
  } catch (const std::exception&) {
    // What failed is known to who waits for it.
  }
}

Work HierarchicalCommunicator::submit(const Call& call, std::function<void()> task) {
  const uint64_t number = roll_call_.come_to_call();
  ++under_way_;
  return stream_.submit([this, number, call, task = std::move(task)] {
    try {
      run(number, call, task);
    } catch (...) {
      inside_->interrupt();  // peers of this host must not take it for one that has ended in order
      throw;
    }
    --under_way_;
  });
}

// Whom this rank waits for may wait in turn: who is late is asked of all.
void HierarchicalCommunicator::run(uint64_t number, const Call& call, const std::function<void()>& task) {
  inside_->label(call.activity);
  roll_call_.set_under_way(number, call);
  try {
    task();
    roll_call_.set_under_way(0, {});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::timeout) throw;
    fail(ErrorKind::timeout, "{}; rank {} waits in {} for {:.0f} s (comm.timeout_seconds)", roll_call_.who_is_late(), rank_, call.describe(), timeout_seconds_);
  }
}

void HierarchicalCommunicator::gather(const Call& call, Span slice, Span full) {
  between_->gather(call, slice, full);
  std::vector<Work> hosts;
  for (int host = 0; host < hosts_.count; ++host) hosts.push_back(inside_->all_gather(own_place(full, host), block(full, host)));
  for (auto& work : hosts) work.wait();
}

void HierarchicalCommunicator::reduce(const Call& call, Span full, Span slice, Span scratch) {
  const int64_t piece_bytes = reduce_piece_bytes(slice.count, slice.dtype);
  if (strict_) return all_ranks_->reduce(call, full, slice, scratch.data, piece_bytes);
  for (int host = 0; host < hosts_.count; ++host) inside_->reduce_scatter(block(full, host), own_place(full, host), scratch, {}).wait();
  between_->reduce(call, full, slice, scratch.data, piece_bytes);
}

}  // namespace zerorun
