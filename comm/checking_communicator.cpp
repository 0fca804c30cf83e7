#include "comm/checking_communicator.h"

#include "comm/gather.h"
#include "core/error.h"

namespace zerorun {

CheckingCommunicator::CheckingCommunicator(std::shared_ptr<Communicator> inner, std::shared_ptr<Communicator> control, std::function<std::string()> who_is_late)
    : ForwardingCommunicator(*inner), owned_(std::move(inner)), control_(std::move(control)), who_is_late_(std::move(who_is_late)) {}

Work CheckingCommunicator::all_gather(Span slice, Span full) {
  check(Collective::all_gather, slice.dtype, slice.count);
  return inner_.all_gather(slice, full);
}

Work CheckingCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  check(Collective::reduce_scatter, full.dtype, full.count);
  return inner_.reduce_scatter(full, slice, scratch, std::move(on_block));
}

Work CheckingCommunicator::all_reduce(Span full, Span scratch) {
  check(Collective::all_reduce, full.dtype, full.count);
  return inner_.all_reduce(full, scratch);
}

void CheckingCommunicator::exchange(const void* mine, void* all, int64_t bytes) {
  check(Collective::exchange, at::kByte, bytes);
  inner_.exchange(mine, all, bytes);
}

void CheckingCommunicator::tell(const Activity& activity) {
  activity_ = activity;
  inner_.tell(activity);
}

void CheckingCommunicator::check(Collective kind, at::ScalarType dtype, int64_t count) {
  const CallOfRank own{rank(), {kind, dtype, count, activity_}};
  try {
    check_agreement(gather(*control_, own));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::timeout) throw;
    fail(ErrorKind::timeout, "{}; rank {} waits in {}", who_is_late_ ? who_is_late_() : error.what(), own.rank, own.call.describe());
  }
}

}  // namespace zerorun
