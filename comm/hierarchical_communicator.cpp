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
      inside_(std::make_unique<HostCommunicator>(std::make_shared<MpiCommunicator>(*host_session_, watch.timeout_seconds), watch)) {
  worker_.submit([&] {
    at::get_num_threads();  // as many as the program's: from now on one, the others compute
    omp_set_num_threads(1);
    all_ranks_ = std::make_unique<MpiTransport>(session.communicator(), abandoned_, watch.timeout_seconds);
    between_ = std::make_unique<MpiTransport>(place_session_->communicator(), abandoned_, watch.timeout_seconds, Slices{hosts_.place_of(rank_), hosts_.ranks_of_each});
  }).wait();
}

HierarchicalCommunicator::~HierarchicalCommunicator() {
  try {
    worker_.submit([this] { inside_.reset(); }).wait();
  } catch (const std::exception&) {
    // What failed is known to who waits for it.
  }
  worker_.submit([this] {
    between_.reset();
    all_ranks_.reset();
  });
}

Work HierarchicalCommunicator::all_gather(Span slice, Span full) {
  check_all_gather(*this, slice, full);
  check_data(slice);
  check_data(full);
  return submit({Collective::all_gather, slice.dtype, slice.count, activity_}, [=, this] { gather(Collective::all_gather, slice, full); });
}

Work HierarchicalCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  check_reduce_scatter(*this, full, slice, scratch);
  check_data(full);
  check_data(slice);
  check_data(scratch);
  return submit({Collective::reduce_scatter, full.dtype, full.count, activity_}, [=, this] {
    reduce(Collective::reduce_scatter, full, slice, scratch);
    for_each_block(slice, on_block);
  });
}

Work HierarchicalCommunicator::all_reduce(Span full, Span scratch) {
  check_all_reduce(*this, full, scratch);
  check_data(full);
  check_data(scratch);
  return submit({Collective::all_reduce, full.dtype, full.count, activity_}, [=, this] {
    const Span own = full.slice(rank_, size_);
    reduce(Collective::all_reduce, full, own, scratch);
    gather(Collective::all_reduce, own, full);
  });
}

void HierarchicalCommunicator::exchange(const void* mine, void* all, int64_t bytes) {
  check_exchange(mine, all, bytes);
  const Span slice{const_cast<void*>(mine), bytes, at::kByte}, full{all, bytes * size_, at::kByte};
  submit({Collective::exchange, at::kByte, bytes, activity_}, [=, this] { all_ranks_->gather(Collective::exchange, slice, full); }).wait();
}

// On the caller's thread, whose memory scope pays; nothing is under way then.
at::Tensor HierarchicalCommunicator::allocate(int64_t bytes) {
  worker_.submit([] {}).wait();
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
    worker_.submit([] {}).wait();
  } catch (const std::exception&) {
    // What failed is known to who waits for it.
  }
}

Work HierarchicalCommunicator::submit(const Call& call, std::function<void()> task) {
  roll_call_.count_call();
  ++under_way_;
  return worker_.submit([this, call, task = std::move(task)] {
    run(call, task);
    --under_way_;
  });
}

// Whom this rank waits for may wait in turn: who is late is asked of all.
void HierarchicalCommunicator::run(const Call& call, const std::function<void()>& task) {
  inside_->label(call.activity);
  try {
    task();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::timeout) throw;
    fail(ErrorKind::timeout, "{}; rank {} waits in {} for {:.0f} s (comm.timeout_seconds)", roll_call_.who_is_late(), rank_, call.describe(), timeout_seconds_);
  }
}

void HierarchicalCommunicator::gather(Collective kind, Span slice, Span full) {
  between_->gather(kind, slice, full);
  std::vector<Work> hosts;
  for (int host = 0; host < hosts_.count; ++host) hosts.push_back(inside_->all_gather(own_place(full, host), block(full, host)));
  for (auto& work : hosts) work.wait();
}

void HierarchicalCommunicator::reduce(Collective kind, Span full, Span slice, Span scratch) {
  const int64_t piece_bytes = reduce_piece_bytes(slice.count, slice.dtype);
  if (strict_) return all_ranks_->reduce(kind, full, slice, scratch.data, piece_bytes);
  for (int host = 0; host < hosts_.count; ++host) inside_->reduce_scatter(block(full, host), own_place(full, host), scratch, {}).wait();
  between_->reduce(kind, full, slice, scratch.data, piece_bytes);
}

}  // namespace zerorun
