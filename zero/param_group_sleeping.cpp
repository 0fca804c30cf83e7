// What a group does with what sleeps: brings slices, updates them where they are, sends sums away.
#include <ATen/ops/empty.h>

#include "zero/param_group.h"

namespace zerorun {

void ParamGroup::fetch(Slot slot, const Event& after) {
  uploaded_ = {slot, layout_.slice_count(), options_.precision.parameters, side()};
  sleeping_->fetch(uploaded_, after);
}

// A slice that has been fetched is updated before it is gathered where an update is due whose states are on the device.
void ParamGroup::finish_fetch() {
  sleeping_->wait_until_fetched();
  if (!due_) return;
  {
    const TraceSpan span(options_.trace, "compute", "update");
    update_resident(*due_->optimizer, due_->arguments);
  }
  due_.reset();
  written_back_ = sleeping_->write_back(uploaded_);
}

// Weights that stay on the device and were updated elsewhere.
void ParamGroup::settle() {
  if (!unsettled_) return;
  unsettled_ = false;
  sleeping_->wait_until_fetched();
  if (!options_.sharding.parameters) publish_slices().wait();
}

void ParamGroup::flush(Slot slot) {
  settle();
  if (due_) {
    fetch(slot, {});
    finish_fetch();
  }
  if (sleeping_) sleeping_->finish_storing();
}

// A sum leaves the device, slice or whole as the optimizer needs it. Where there is nothing to wait for it leaves now.
Work ParamGroup::reduce_and_land(Span part, Span scratch, MicroBatchPlace place, NormsOfGroups& norms, size_t group) {
  const bool sharded = options_.sharding.optimizer, only = place.first && place.last;
  const Span own = part.slice(communicator_.rank(), communicator_.size());
  Work sum = !sharded ? communicator_.all_reduce(part, scratch) : only ? sum_over_ranks(part, own, scratch, norms) : communicator_.reduce_scatter(part, own, scratch);
  squared_norm_ = only && norms.on_gpu() ? SquaredNorm::taken : only && sharded ? SquaredNorm::summed : SquaredNorm::landing;
  Work landing([this, sum, part, own, sharded, place, &norms, group]() mutable {
    sum.wait();
    if (squared_norm_ == SquaredNorm::taken) norms.take(group, own);
    const bool land_squares = squared_norm_ == SquaredNorm::landing && place.last;
    const SleepingGroup::Squares squares{land_squares ? &squares_ : nullptr, sharded ? 0 : communicator_.rank() * own.count, own.count};
    sleeping_->land(sharded ? own : part, place.first, squares);
  });
  if (communicator_.size() == 1) landing.wait();
  return landing;
}

at::Tensor ParamGroup::read_sleeping(Content content) const {
  auto copy = at::empty({layout_.padded_count()}, options_of(at::kFloat));
  const bool sharded = options_.sharding.optimizer;
  const auto slice = whole(sharded ? own_slice(copy, false) : copy);
  content == Content::gradients ? sleeping_->read_gradient(slice) : sleeping_->read_values(slice);
  if (sharded) communicator_.all_gather(slice, whole(copy)).wait();
  return copy;
}

}  // namespace zerorun
