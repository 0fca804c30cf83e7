#include "comm/mpi_communicator.h"

#include <ATen/core/Tensor.h>

#include "comm/buffers.h"
#include "comm/collective.h"
#include "comm/mpi_session.h"
#include "comm/mpi_transport.h"
#include "comm/rank_sum.h"

namespace zerorun {

MpiCommunicator::MpiCommunicator(MpiSession& session, double timeout_seconds, int first_rank) : rank_(session.rank()), size_(session.size()) {
  stream_.submit([&] { transport_ = std::make_unique<MpiTransport>(session.communicator(), WaitLimits{abandoned_, timeout_seconds, {first_rank}}); }).wait();
}

MpiCommunicator::~MpiCommunicator() {
  stream_.submit([this] { transport_.reset(); });
}

Work MpiCommunicator::all_gather(Span slice, Span full) {
  check_all_gather(*this, slice, full);
  check_data(slice);
  check_data(full);
  const Call call{Collective::all_gather, slice.dtype, slice.count, activity_};
  return stream_.submit([=, this] { transport_->gather(call, slice, full); });
}

Work MpiCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  check_reduce_scatter(*this, full, slice, scratch);
  check_data(full);
  check_data(slice);
  check_data(scratch);
  const Call call{Collective::reduce_scatter, full.dtype, full.count, activity_};
  const int64_t piece_bytes = reduce_piece_bytes(slice.count, slice.dtype);
  return stream_.submit([=, this] {
    transport_->reduce(call, full, slice, scratch.data, piece_bytes);
    for_each_block(slice, on_block);
  });
}

Work MpiCommunicator::all_reduce(Span full, Span scratch) {
  check_all_reduce(*this, full, scratch);
  check_data(full);
  check_data(scratch);
  const Span slice = full.slice(rank_, size_);
  const Call call{Collective::all_reduce, full.dtype, full.count, activity_};
  const int64_t piece_bytes = reduce_piece_bytes(slice.count, slice.dtype);
  return stream_.submit([=, this] {
    transport_->reduce(call, full, slice, scratch.data, piece_bytes);
    transport_->gather(call, slice, full);
  });
}

void MpiCommunicator::exchange(const void* mine, void* all, int64_t bytes) {
  check_exchange(mine, all, bytes);
  const Span slice{const_cast<void*>(mine), bytes, at::kByte};
  const Span full{all, bytes * size_, at::kByte};
  const Call call{Collective::exchange, at::kByte, bytes, activity_};
  stream_.submit([=, this] { transport_->gather(call, slice, full); }).wait();
}

at::Tensor MpiCommunicator::allocate(int64_t bytes) { return host_buffer(bytes); }

// The collective under way notices the flag and fails, and all that are queued fail with it. The flag is taken back only
// where none failed: then none was under way, or it was done in time.
void MpiCommunicator::abandon() noexcept {
  abandoned_ = true;
  try {
    stream_.submit([this] { abandoned_ = false; }).wait();
  } catch (const std::exception&) {
    // What failed is known to who waits for it.
  }
}

}  // namespace zerorun
