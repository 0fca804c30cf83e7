#include "zero/param_group.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/ops/gradient.h"
#include "core/random.h"
#include "zero/flat_span.h"

namespace zerorun {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;
constexpr int64_t kFillBlock = 4096;
constexpr int64_t kSourceBlock = 1 << 16;

at::Tensor touched(at::Tensor buffer) {
  if (!buffer.is_meta()) std::memset(buffer.data_ptr(), 0, buffer.nbytes());
  return buffer;
}

void* data_of(const at::Tensor& tensor) { return tensor.is_meta() ? nullptr : tensor.data_ptr(); }

at::Tensor registered(Communicator& communicator, int64_t count, at::ScalarType dtype) {
  return allocate_touched(communicator, count * static_cast<int64_t>(c10::elementSize(dtype))).view(dtype);
}

// Elements [first, first + count) of a parameter, from the counters.
void fill(const Parameter& parameter, uint64_t seed, int64_t first, int64_t count, float* out) {
  switch (parameter.init.kind) {
    case Init::Kind::zeros: std::fill_n(out, count, 0.0f); break;
    case Init::Kind::ones: std::fill_n(out, count, 1.0f); break;
    case Init::Kind::normal:
      fill_normal(out, first, count, seed, stream_of(parameter.name), static_cast<float>(parameter.init.stddev));
      break;
    case Init::Kind::custom: break;
  }
}

}  // namespace

at::Tensor allocate_touched(Communicator& communicator, int64_t bytes) { return touched(communicator.allocate(bytes)); }

ParamGroup::ParamGroup(const ParameterGroup& declaration, Communicator& communicator, MemoryLedger& ledger,
                       const ParamGroupOptions& options)
    : declaration_(declaration), communicator_(communicator), options_(options), layout_(declaration, communicator.size()) {
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
  {
    const MemoryScope scope(ledger, Category::parameters);
    const int64_t slice_bytes = layout_.slice_count() * precision.parameter_bytes();
    parameters_ = keeps_parameter_slice() ? touched(communicator_.allocate_slice(slice_bytes, side_by_side_)).view(precision.parameters)
                                          : registered(communicator_, layout_.padded_count(), precision.parameters);
  }
  if (!trainable()) return;
  {
    const MemoryScope scope(ledger, Category::gradients);
    gradients_ = registered(communicator_, resident(sharding.gradients), precision.gradients);
  }
  const MemoryScope scope(ledger, Category::optimizer);
  const auto state = [&] { return at::zeros({resident(sharding.optimizer)}, parameters_.options().dtype(at::kFloat)); };
  master_ = precision.has_master() ? state() : parameters_;
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
      return at::empty({0}, parameters_.options()).set_(storage, layout_.offset(static_cast<int>(p)), shape, strides);
    };
    weights_.push_back(view(weight_storage_).requires_grad_(trainable()));
    if (trainable()) weights_.back().mutable_grad() = view(gradient_storage_);
  }
  if (!options_.sharding.parameters) point(weight_storage_, shares_slices() ? side_by_side_ : data_of(parameters_));
}

void ParamGroup::initialise() {
  if (parameters_.is_meta()) return;
  fill_parameters(parameters_, keeps_parameter_slice());
  if (trainable() && options_.precision.has_master()) fill_parameters(master_, options_.sharding.optimizer);
}

// The whole group or this rank's slice of it. What is drawn from counters is drawn in parallel; a source of values is asked for
// one block after the other.
void ParamGroup::fill_parameters(const at::Tensor& flat, bool sharded) const {
  const int64_t begin = sharded ? communicator_.rank() * layout_.slice_count() : 0, end = begin + flat.numel();
  std::shared_ptr<InitialValues::Kept> kept;
  for (size_t p = 0; p < declaration_.parameters.size(); ++p) {
    const auto& parameter = declaration_.parameters[p];
    const int64_t offset = layout_.offset(static_cast<int>(p));
    const int64_t first = std::max(begin, offset), last = std::max(first, std::min(end, offset + parameter.count()));
    const auto in_blocks = [&](int64_t from, int64_t to, int64_t size, float* block, const auto& values) {
      for (int64_t at = from; at < to; at += size) {
        const int64_t count = std::min(size, to - at);
        values(at - offset, count, block);
        write_block(block, whole(flat), at - begin, count);
      }
    };
    if (options_.initial || parameter.init.values) {
      std::vector<float> block(kSourceBlock);
      in_blocks(first, last, kSourceBlock, block.data(), [&](int64_t element, int64_t count, float* out) {
        if (options_.initial) return options_.initial->fill(parameter, element, count, out);
        parameter.init.values->fill(options_.seed, element, count, out, kept);
      });
      continue;
    }
    at::parallel_for(first, last, kElementsPerTask, [&](int64_t task_begin, int64_t task_end) {
      float block[kFillBlock];
      in_blocks(task_begin, task_end, kFillBlock, block,
                [&](int64_t element, int64_t count, float* out) { fill(parameter, options_.seed, element, count, out); });
    });
  }
}

Work ParamGroup::gather(Slot slot) {
  if (shares_slices()) slot = side_by_side_;
  point(weight_storage_, slot);
  return communicator_.all_gather(whole(parameters_), whole_parameters(slot));
}

void ParamGroup::reshard() { point(weight_storage_, nullptr); }

bool ParamGroup::uses_gradient_slot() const { return options_.sharding.gradients_use_slots(options_.precision); }

// A unit writes where its gradient can be converted in place: at the end of the slot where the sum's dtype is the wider.
void ParamGroup::open_gradients(Slot slot, MicroBatchPlace place, bool unwritten) {
  const int64_t lead = uses_gradient_slot() ? gradient_slot_bytes() - flat_bytes() : 0;
  gradient_slot_ = uses_gradient_slot() ? slot : data_of(gradients_);
  auto* written = gradient_slot_ ? static_cast<char*>(gradient_slot_) + lead : nullptr;
  point(gradient_storage_, written);
  if (!place.first && !uses_gradient_slot()) return;
  if (unwritten) {
    leave_gradients_unwritten(written);
  } else if (written) {
    std::memset(written, 0, gradient_storage_.nbytes());
  }
}

// What is no gradient of a parameter takes part in sums and norms too, and is zero.
void ParamGroup::leave_gradients_unwritten(void* flat) {
  const int64_t element = options_.precision.parameter_bytes();
  for (size_t p = 0; p < weights_.size(); ++p) {
    ops::leave_unwritten(weights_[p].grad());
    const int index = static_cast<int>(p);
    const int64_t begin = layout_.offset(index) + weights_[p].numel();
    const int64_t end = p + 1 < weights_.size() ? layout_.offset(index + 1) : layout_.padded_count();
    if (flat && end > begin) std::memset(static_cast<char*>(flat) + begin * element, 0, static_cast<size_t>((end - begin) * element));
  }
}

Work ParamGroup::reduce(Span scratch, MicroBatchPlace place) {
  const auto& sharding = options_.sharding;
  for (auto& weight : weights_) ops::written(weight.mutable_grad());
  const Span part = unsummed_gradient();
  if (sharding.sums_each) {
    const Span summed = part.slice(communicator_.rank(), communicator_.size());
    Work sum = communicator_.reduce_scatter(part, summed, scratch);
    return Work([this, sum, summed, place]() mutable {
      sum.wait();
      accumulate(summed, own_slice(gradients_, options_.sharding.gradients), place.first);
    });
  }
  if (sharding.gradients) return sum_over_ranks(part, whole(gradients_), scratch);
  if (uses_gradient_slot()) accumulate(part, gradients_, place.first);
  if (!place.last) return {};
  if (!sharding.optimizer) return communicator_.all_reduce(whole(gradients_), scratch);
  return sum_over_ranks(whole(gradients_), whole(own_slice(gradients_, false)), scratch);
}

// The last sum of a step: its squares are taken on the way.
Work ParamGroup::sum_over_ranks(Span full, Span slice, Span scratch) {
  squares_.expect(slice.count);
  knows_squares_ = slice.data != nullptr;
  return communicator_.reduce_scatter(full, slice, scratch, [this](int64_t begin, Span block) { squares_.add(begin, block); });
}

// What the unit wrote, converted to the dtype of the sum.
Span ParamGroup::unsummed_gradient() {
  const Span sent{gradient_slot_, layout_.padded_count(), options_.precision.gradients};
  if (uses_gradient_slot() && gradient_slot_) {
    auto* written = static_cast<char*>(gradient_slot_) + gradient_slot_bytes() - flat_bytes();
    convert_in_place({written, sent.count, options_.precision.parameters}, sent);
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
  if (!trainable() || !options_.sharding.sums_each || options_.sharding.gradients) return {};
  return communicator_.all_gather(whole(own_slice(gradients_, false)), whole(gradients_));
}

double ParamGroup::squared_gradient_norm() const {
  if (!trainable()) return 0;
  return knows_squares_ ? squares_.total() : sum_of_squares(whole(own_slice(gradients_, options_.sharding.gradients)));
}

void ParamGroup::update(const Optimizer& optimizer, const UpdateArguments& arguments) {
  if (!trainable()) return;
  const auto& sharding = options_.sharding;
  const auto& precision = options_.precision;
  const auto master = precision.has_master() ? master_ : updated_part(parameters_, keeps_parameter_slice());
  FlatSlice slice;
  slice.parameter = static_cast<float*>(data_of(master));
  slice.gradient = whole(updated_part(gradients_, sharding.gradients));
  if (precision.has_master()) slice.rounded = whole(updated_part(parameters_, keeps_parameter_slice()));
  for (size_t i = 0; i < states_.size(); ++i) slice.state[i] = static_cast<float*>(data_of(states_[i]));
  slice.count = master.numel();
  const int64_t begin = sharding.optimizer ? communicator_.rank() * layout_.slice_count() : 0;
  slice.decay_count = std::clamp<int64_t>(layout_.decay_end() - begin, 0, slice.count);
  optimizer.update(slice, arguments);
}

Work ParamGroup::publish() {
  if (!trainable() || !options_.sharding.optimizer || options_.sharding.parameters) return {};
  if (shares_slices()) return communicator_.all_gather(whole(parameters_), whole_parameters(side_by_side_));
  return communicator_.all_gather(whole(own_slice(parameters_, false)), whole(parameters_));
}

at::Tensor ParamGroup::read_whole(Content content) const {
  const auto slice = [&] {
    if (content == Content::gradients) return own_slice(gradients_, options_.sharding.gradients);
    if (trainable() && options_.precision.has_master()) return own_slice(master_, options_.sharding.optimizer);
    return own_slice(parameters_, keeps_parameter_slice());
  }();
  auto copy = at::empty({layout_.padded_count()}, slice.options());
  communicator_.all_gather(whole(slice), whole(copy)).wait();
  return copy.to(at::kFloat);
}

Span ParamGroup::whole(const at::Tensor& resident) const { return {data_of(resident), resident.numel(), resident.scalar_type()}; }

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
