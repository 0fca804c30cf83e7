#include "zero/param_group.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/random.h"
#include "zero/flat_kernels.h"
#include "zero/gradient_norm.h"

namespace zerorun {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;

float* data_of(const at::Tensor& tensor) { return tensor.is_meta() ? nullptr : tensor.data_ptr<float>(); }

at::Tensor registered(Communicator& communicator, int64_t count) {
  return allocate_touched(communicator, count * static_cast<int64_t>(sizeof(float))).view(at::kFloat);
}

// Elements [first, first + count) of a parameter.
void fill(const Parameter& parameter, uint64_t seed, int64_t first, int64_t count, float* out) {
  const uint64_t stream = stream_of(parameter.name);
  at::parallel_for(0, count, kElementsPerTask, [&](int64_t begin, int64_t end) {
    switch (parameter.init.kind) {
      case Init::Kind::zeros: std::fill(out + begin, out + end, 0.0f); break;
      case Init::Kind::ones: std::fill(out + begin, out + end, 1.0f); break;
      case Init::Kind::normal:
        fill_normal(out + begin, first + begin, end - begin, seed, stream, static_cast<float>(parameter.init.stddev));
        break;
    }
  });
}

}  // namespace

at::Tensor allocate_touched(Communicator& communicator, int64_t bytes) {
  auto buffer = communicator.allocate(bytes);
  if (!buffer.is_meta()) std::memset(buffer.data_ptr(), 0, buffer.nbytes());
  return buffer;
}

ParamGroup::ParamGroup(const ParameterGroup& declaration, Communicator& communicator, MemoryLedger& ledger,
                       const ParamGroupOptions& options)
    : declaration_(declaration), communicator_(communicator), options_(options), layout_(declaration, communicator.size()) {
  ZR_CHECK(options.sharding.optimizer || !(options.sharding.gradients || options.sharding.parameters),
           "gradients or parameters are sharded, but the optimizer is not; it updates the slice that a rank owns");
  const auto resident = [&](bool sharded) { return sharded ? layout_.slice_count() : layout_.padded_count(); };
  const auto& sharding = options.sharding;
  {
    const MemoryScope scope(ledger, Category::parameters);
    parameters_ = registered(communicator, resident(sharding.parameters));
  }
  {
    const MemoryScope scope(ledger, Category::gradients);
    gradients_ = registered(communicator, resident(sharding.gradients));
  }
  {
    const MemoryScope scope(ledger, Category::optimizer);
    for (int i = 0; i < options.optimizer_states; ++i) {
      states_.push_back(at::zeros({resident(sharding.optimizer)}, parameters_.options()));
    }
  }
  create_views();
  initialise();
}

// The weights are made once over storages that own nothing. set_() gives each its own version counter: a refill behind a
// tensor that autograd saved is then no in-place change of it.
void ParamGroup::create_views() {
  const auto bytes = static_cast<size_t>(layout_.padded_count()) * sizeof(float);
  const auto make_storage = [&] {
    return at::Storage(at::Storage::use_byte_size_t(), bytes, at::DataPtr(nullptr, options_.device),
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
    weights_.push_back(view(weight_storage_).requires_grad_(true));
    weights_.back().mutable_grad() = view(gradient_storage_);
  }
  if (!options_.sharding.parameters) point(weight_storage_, data_of(parameters_));
}

void ParamGroup::initialise() {
  if (parameters_.is_meta()) return;
  const int64_t slice = layout_.slice_count();
  const int64_t begin = options_.sharding.parameters ? communicator_.rank() * slice : 0;
  const int64_t end = begin + parameters_.numel();
  for (size_t p = 0; p < declaration_.parameters.size(); ++p) {
    const auto& parameter = declaration_.parameters[p];
    const int64_t offset = layout_.offset(static_cast<int>(p));
    const int64_t first = std::max(begin, offset), last = std::min(end, offset + parameter.count());
    if (first < last) fill(parameter, options_.seed, first - offset, last - first, data_of(parameters_) + (first - begin));
  }
}

Work ParamGroup::gather(Slot slot) {
  point(weight_storage_, slot);
  return communicator_.all_gather(whole(parameters_), {slot, layout_.padded_count(), at::kFloat});
}

void ParamGroup::reshard() { point(weight_storage_, nullptr); }

void ParamGroup::open_gradients(Slot slot, bool first) {
  const bool uses_slot = options_.sharding.gradients_use_slots();
  gradient_slot_ = uses_slot ? slot : data_of(gradients_);
  point(gradient_storage_, gradient_slot_);
  if (gradient_slot_ && (first || uses_slot)) std::memset(gradient_slot_, 0, gradient_storage_.nbytes());
}

Work ParamGroup::reduce(Span scratch, bool first) {
  const Span full{gradient_slot_, layout_.padded_count(), at::kFloat};
  if (options_.sharding.sums_each) {
    const Span summed = full.slice(communicator_.rank(), communicator_.size());
    Work sum = communicator_.reduce_scatter(full, summed, scratch);
    return Work([this, sum, summed, first]() mutable {
      sum.wait();
      accumulate(summed, first);
    });
  }
  if (!options_.sharding.optimizer) return communicator_.all_reduce(full, scratch);
  return communicator_.reduce_scatter(full, whole(own_slice(gradients_, options_.sharding.gradients)), scratch);
}

void ParamGroup::accumulate(Span summed, bool first) {
  auto* sum = data_of(own_slice(gradients_, options_.sharding.gradients));
  const auto* part = static_cast<const float*>(summed.data);
  if (!part) return;
  at::parallel_for(0, summed.count, kElementsPerTask, [&](int64_t begin, int64_t end) {
    if (first) {
      std::copy(part + begin, part + end, sum + begin);
    } else {
      kernels::add(sum, part, begin, end);
    }
  });
}

Work ParamGroup::share_gradients() {
  if (!options_.sharding.sums_each || options_.sharding.gradients) return {};
  return communicator_.all_gather(whole(own_slice(gradients_, false)), whole(gradients_));
}

double ParamGroup::squared_gradient_norm() const {
  const auto slice = own_slice(gradients_, options_.sharding.gradients);
  return slice.is_meta() ? 0 : sum_of_squares(data_of(slice), slice.numel());
}

void ParamGroup::update(const Optimizer& optimizer, const UpdateArguments& arguments) {
  const bool sharded = options_.sharding.optimizer;
  const auto part = [&](const at::Tensor& resident, bool resident_is_slice) {
    return data_of(sharded ? own_slice(resident, resident_is_slice) : resident);
  };
  const int64_t count = sharded ? layout_.slice_count() : layout_.padded_count();
  const int64_t begin = sharded ? communicator_.rank() * count : 0;
  FlatSlice slice;
  slice.parameter = part(parameters_, options_.sharding.parameters);
  slice.gradient = part(gradients_, options_.sharding.gradients);
  for (size_t i = 0; i < states_.size(); ++i) slice.state[i] = data_of(states_[i]);
  slice.count = count;
  slice.decay_count = std::clamp<int64_t>(layout_.decay_end() - begin, 0, count);
  optimizer.update(slice, arguments);
}

Work ParamGroup::publish() {
  if (!options_.sharding.optimizer || options_.sharding.parameters) return {};
  return communicator_.all_gather(whole(own_slice(parameters_, false)), whole(parameters_));
}

at::Tensor ParamGroup::read_whole(Content content) const {
  const bool parameters = content == Content::parameters;
  const auto& resident = parameters ? parameters_ : gradients_;
  auto copy = at::empty({layout_.padded_count()}, resident.options());
  const auto slice = own_slice(resident, parameters ? options_.sharding.parameters : options_.sharding.gradients);
  communicator_.all_gather(whole(slice), whole(copy)).wait();
  return copy;
}

Span ParamGroup::whole(const at::Tensor& resident) const { return {data_of(resident), resident.numel(), at::kFloat}; }

at::Tensor ParamGroup::own_slice(const at::Tensor& resident, bool sharded) const {
  return sharded ? resident : resident.narrow(0, communicator_.rank() * layout_.slice_count(), layout_.slice_count());
}

void ParamGroup::point(at::Storage& storage, void* data) const {
  storage.set_data_ptr_noswap(at::DataPtr(data, options_.device));
}

}  // namespace zerorun
