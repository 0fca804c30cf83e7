#include "zero/param_group.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "core/error.h"
#include "core/ops/gradient.h"
#include "core/random.h"
#include "zero/flat_span.h"
#include "zero/initial_values.h"

namespace zerorun {
namespace {

at::Tensor touched(at::Tensor buffer) {
  fill_zero(span_of(buffer));
  return buffer;
}

at::Tensor registered(Communicator& communicator, int64_t count, at::ScalarType dtype) {
  return allocate_touched(communicator, count * static_cast<int64_t>(c10::elementSize(dtype))).view(dtype);
}

}  // namespace

at::Tensor allocate_touched(Communicator& communicator, int64_t bytes) { return touched(communicator.allocate(bytes)); }

ParamGroup::ParamGroup(const ParameterGroup& declaration, Communicator& communicator, MemoryLedger& ledger,
                       const ParamGroupOptions& options, SleepingGroup* sleeping)
    : declaration_(declaration), communicator_(communicator), options_(options), sleeping_(sleeping), layout_(declaration, communicator.size()) {
  ZR_CHECK(options.sharding.optimizer || !(options.sharding.gradients || options.sharding.parameters),
           "gradients or parameters are sharded, but the optimizer is not; it updates the slice that a rank owns");
  allocate(ledger);
  create_views();
  const MemoryScope scope(ledger, Category::host);  // what initial values are made in
  initialise();
  if (shares_slices()) communicator.exchange(nullptr, nullptr, 0);  // all have written what all read
}

void ParamGroup::allocate(MemoryLedger& ledger) {
  const auto& sharding = options_.sharding;
  const auto& precision = options_.precision;
  const auto resident = [&](bool sharded) { return sharded ? layout_.slice_count() : layout_.padded_count(); };
  if (!weights_sleep()) {
    const MemoryScope scope(ledger, Category::parameters);
    const int64_t slice_bytes = layout_.slice_count() * precision.parameter_bytes();
    parameters_ = keeps_parameter_slice() ? touched(communicator_.allocate_slice(slice_bytes, side_by_side_)).view(precision.parameters)
                                          : registered(communicator_, layout_.padded_count(), precision.parameters);
  }
  if (!trainable() || state_sleeps()) return;
  {
    const MemoryScope scope(ledger, Category::gradients);
    gradients_ = registered(communicator_, resident(sharding.gradients), precision.gradients);
  }
  const MemoryScope scope(ledger, Category::optimizer);
  const auto state = [&] { return at::zeros({resident(sharding.optimizer)}, options_of(at::kFloat)); };
  if (precision.has_master()) master_ = state();
  for (int i = 0; i < options_.optimizer_states; ++i) states_.push_back(state());
}

// The weights are made once over storages that own nothing. set_() gives each its own version counter: a refill behind a
// tensor that autograd saved is then no in-place change of it.
void ParamGroup::create_views() {
  const auto make_storage = [&] {
    return at::Storage(at::Storage::use_byte_size_t(), static_cast<size_t>(flat_bytes()), at::DataPtr(nullptr, options_.device),
                       c10::GetAllocator(options_.device.type()), /*resizable=*/true);  // set_() on meta asks for it
  };
  weight_storage_ = make_storage();
  gradient_storage_ = make_storage();
  const at::NoGradGuard no_grad;
  for (size_t p = 0; p < declaration_.parameters.size(); ++p) {
    const auto& shape = declaration_.parameters[p].shape;
    const auto strides = c10::contiguous_strides(shape);
    const auto view = [&](const at::Storage& storage) {
      return at::empty({0}, options_of(options_.precision.parameters)).set_(storage, layout_.offset(static_cast<int>(p)), shape, strides);
    };
    weights_.push_back(view(weight_storage_).requires_grad_(trainable()));
    if (trainable()) weights_.back().mutable_grad() = view(gradient_storage_);
  }
  if (!options_.sharding.parameters) point(weight_storage_, shares_slices() ? side_by_side_ : span_of(parameters_).data);
}

void ParamGroup::initialise() {
  if (options_.device == at::kMeta) return;
  const auto fill = [this](int64_t begin, Span to) {
    fill_in_host_memory(to, [&](int64_t first, Span part) { fill_values(declaration_, layout_, options_.initial, options_.seed, begin + first, part); });
  };
  const auto slice = communicator_.rank() * layout_.slice_count();
  if (parameters_.defined()) fill(keeps_parameter_slice() ? slice : 0, whole(parameters_));
  if (master_.defined()) fill(options_.sharding.optimizer ? slice : 0, whole(master_));
  if (!sleeping_) return;
  sleeping_->initialise([&](int64_t first, int64_t count, float* out) {
    std::fill_n(out, count, 0.0f);  // padding
    fill(first_updated() + first, {out, count, at::kFloat});
  });
}

// What is on its way back from its update is gathered when it is waited for: a unit ahead must not keep this one from computing.
Work ParamGroup::gather(Slot slot) {
  if (unsettled_) {
    return Work([this, slot] {
      settle();
      gather(slot).wait();
    });
  }
  if (weights_sleep()) finish_fetch();
  const Span slice = own_weights();
  if (is_whole()) {
    slot = slice.data;
  } else if (shares_slices()) {
    slot = side_by_side_;
  }
  point(weight_storage_, slot);
  return communicator_.all_gather(slice, whole_parameters(slot));
}

void ParamGroup::reshard() { point(weight_storage_, nullptr); }

bool ParamGroup::uses_gradient_slot() const { return state_sleeps() || options_.sharding.gradients_use_slots(options_.precision, communicator_.size()); }

// A unit writes where its gradient can be converted in place: at the end of the slot where the sum's dtype is the wider.
void ParamGroup::open_gradients(Slot slot, MicroBatchPlace place, bool unwritten) {
  const int64_t lead = uses_gradient_slot() ? gradient_slot_bytes() - flat_bytes() : 0;
  gradient_slot_ = uses_gradient_slot() ? slot : span_of(gradients_).data;
  const Span written{gradient_slot_ ? static_cast<char*>(gradient_slot_) + lead : nullptr, layout_.padded_count(), options_.precision.parameters, side()};
  point(gradient_storage_, written.data);
  if (!place.first && !uses_gradient_slot()) return;
  if (unwritten) {
    leave_gradients_unwritten(written);
  } else {
    fill_zero(written);
  }
}

// What is no gradient of a parameter takes part in sums and norms too, and is zero.
void ParamGroup::leave_gradients_unwritten(Span flat) {
  for (size_t p = 0; p < weights_.size(); ++p) {
    ops::leave_unwritten(weights_[p].grad());
    const int index = static_cast<int>(p);
    const int64_t begin = layout_.offset(index) + weights_[p].numel();
    const int64_t end = p + 1 < weights_.size() ? layout_.offset(index + 1) : layout_.padded_count();
    if (end > begin) fill_zero(flat.part(begin, end - begin));
  }
}

Work ParamGroup::reduce(Span scratch, MicroBatchPlace place, NormsOfGroups& norms, size_t group) {
  const auto& sharding = options_.sharding;
  for (auto& weight : weights_) ops::written(weight.mutable_grad());
  const Span part = unsummed_gradient();
  if (state_sleeps()) return reduce_and_land(part, scratch, place, norms, group);
  if (sharding.sums_each) {
    const Span summed = part.slice(communicator_.rank(), communicator_.size());
    Work sum = communicator_.reduce_scatter(part, summed, scratch);
    return Work([this, sum, summed, place]() mutable {
      sum.wait();
      accumulate(summed, own_slice(gradients_, options_.sharding.gradients), place.first);
    });
  }
  if (sharding.gradients) return sum_over_ranks(part, whole(gradients_), scratch, norms);
  if (uses_gradient_slot()) accumulate(part, gradients_, place.first);
  if (!place.last) return {};
  if (!sharding.optimizer) return communicator_.all_reduce(whole(gradients_), scratch);
  return sum_over_ranks(whole(gradients_), whole(own_slice(gradients_, false)), scratch, norms);
}

// The last sum of a step: its squares are taken on the way. On a GPU a sum does not show its blocks.
Work ParamGroup::sum_over_ranks(Span full, Span slice, Span scratch, const NormsOfGroups& norms) {
  if (norms.on_gpu()) return communicator_.reduce_scatter(full, slice, scratch);
  squared_norm_ = SquaredNorm::summed;
  squares_.expect(slice.data ? slice.count : 0);  // without data none come
  Work sum = communicator_.reduce_scatter(full, slice, scratch, [this](int64_t begin, Span block) { squares_.add(begin, block); });
  return Work([this, sum]() mutable {
    sum.wait();
    squares_.close();
  });
}

// What the unit wrote, converted to the dtype of the sum.
Span ParamGroup::unsummed_gradient() {
  const Span sent{gradient_slot_, layout_.padded_count(), options_.precision.gradients, side()};
  if (uses_gradient_slot() && gradient_slot_) {
    auto* written = static_cast<char*>(gradient_slot_) + gradient_slot_bytes() - flat_bytes();
    convert_in_place({written, sent.count, options_.precision.parameters, side()}, sent);
  }
  return sent;
}

void ParamGroup::accumulate(Span part, const at::Tensor& sum, bool first) const {
  if (first) {
    convert(part, whole(sum));
  } else {
    add(part, whole(sum));
  }
}

int64_t ParamGroup::reduce_scratch_bytes() const {
  return trainable() ? communicator_.reduce_scratch_bytes(layout_.slice_count(), options_.precision.gradients) : 0;
}

Work ParamGroup::share_gradients() {
  if (!trainable() || state_sleeps() || !options_.sharding.sums_each || options_.sharding.gradients) return {};
  return communicator_.all_gather(whole(own_slice(gradients_, false)), whole(gradients_));
}

void ParamGroup::take_squared_norm(NormsOfGroups& norms, size_t group) const {
  if (!trainable()) return;
  if (squared_norm_ == SquaredNorm::landing) sleeping_->finish_landing();
  if (squared_norm_ == SquaredNorm::resident) norms.take(group, whole(own_slice(gradients_, options_.sharding.gradients)));
  if (squared_norm_ == SquaredNorm::landing || squared_norm_ == SquaredNorm::summed) norms.set(group, squares_.total());
}

void ParamGroup::update(const Optimizer& optimizer, const UpdateArguments& arguments) {
  if (!trainable()) return;
  if (state_sleeps()) {
    sleeping_->update(optimizer, arguments, layout_.decay_end() - first_updated(), rounding_of(arguments.step));
    if (weights_sleep()) return;
    sleeping_->fetch(own_weights());
    unsettled_ = true;
  } else if (weights_sleep()) {
    due_ = {&optimizer, arguments};
  } else {
    update_resident(optimizer, arguments);
  }
}

// Of the first element that this rank updates.
Rounding ParamGroup::rounding_of(int64_t step) const {
  const auto words = [](uint64_t value) { return std::array{static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)}; };
  return {.at_random = options_.precision.stochastic_rounding,
          .key = words(options_.seed),
          .stream = words(stream_of("rounding " + declaration_.name))[0],
          .step = static_cast<uint32_t>(step),
          .first_element = first_updated()};
}

void ParamGroup::update_resident(const Optimizer& optimizer, const UpdateArguments& arguments) {
  const auto& sharding = options_.sharding;
  const Span weights = own_weights();
  FlatSlice slice;
  slice.parameter = static_cast<float*>(master_.defined() ? span_of(master_).data : weights.data);
  slice.gradient = whole(updated_part(gradients_, sharding.gradients));
  if (options_.precision.has_master()) slice.rounded = weights;
  for (size_t i = 0; i < states_.size(); ++i) slice.state[i] = static_cast<float*>(span_of(states_[i]).data);
  slice.count = weights.count;
  const int64_t begin = first_updated();
  slice.rounding = rounding_of(arguments.step);
  slice.decay_count = std::clamp<int64_t>(layout_.decay_end() - begin, 0, slice.count);
  optimizer.update(slice, arguments);
}

Work ParamGroup::publish() {
  if (!trainable() || unsettled_ || options_.sharding.parameters) return {};
  return publish_slices();
}

Work ParamGroup::publish_slices() {
  if (!options_.sharding.optimizer) return {};
  return communicator_.all_gather(own_weights(), whole_parameters(shares_slices() ? side_by_side_ : span_of(parameters_).data));
}

// What this rank updates of the weights, where they are on the device: resident, or in their upload slot.
Span ParamGroup::own_weights() const { return weights_sleep() ? uploaded_ : whole(updated_part(parameters_, keeps_parameter_slice())); }

at::Tensor ParamGroup::read_whole(Content content, Slot slot) {
  if (content == Content::parameters) flush(slot);
  const bool gradients = content == Content::gradients, has_master = trainable() && options_.precision.has_master();
  if (sleeping_ && (state_sleeps() || (!gradients && !has_master))) return read_sleeping(content);
  const auto slice = gradients    ? own_slice(gradients_, options_.sharding.gradients)
                     : has_master ? own_slice(master_, options_.sharding.optimizer)
                                  : own_slice(parameters_, keeps_parameter_slice());
  auto copy = at::empty({layout_.padded_count()}, slice.options());
  communicator_.all_gather(whole(slice), whole(copy)).wait();
  return copy.to(at::kFloat);
}

Span ParamGroup::whole(const at::Tensor& resident) const { return span_of(resident); }

at::Tensor ParamGroup::own_slice(const at::Tensor& resident, bool sharded) const {
  return sharded ? resident : resident.narrow(0, communicator_.rank() * layout_.slice_count(), layout_.slice_count());
}

// What this rank updates: its slice where the optimizer is sharded, else all.
at::Tensor ParamGroup::updated_part(const at::Tensor& resident, bool sharded) const {
  return options_.sharding.optimizer ? own_slice(resident, sharded) : resident;
}

void ParamGroup::point(at::Storage& storage, void* data) const {
  storage.set_data_ptr_noswap(at::DataPtr(data, options_.device));
}

}  // namespace zerorun
