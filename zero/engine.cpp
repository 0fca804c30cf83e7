// ZeRO from top to bottom. N ranks hold the same model and read different samples. What each keeps of parameters,
// gradients and optimizer state is a matter of the sharding; rank r always owns slice r of every group. A step is
//
//   forward    for each unit:                    gather (if sharded), compute, release
//   backward   for each unit, last to first:     gather (if needed), compute, release, reduce its gradient
//   update     each rank its slice, then publish the new parameters (if they stay whole)
//
// with forward and backward once for each micro-batch.
//
// What is gathered ahead and which slot it goes to is planned once (schedule.h). Gradients flow through one path: a
// unit's backward adds them to a flat slot, the slot is summed over ranks, and the sum lands where the sharding keeps it.

#include "zero/engine.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "zero/gradient_norm.h"

namespace zerorun {
namespace {

Slot at_offset(const at::Tensor& slots, int64_t offset) {
  return !slots.defined() || slots.is_meta() ? nullptr : static_cast<char*>(slots.data_ptr()) + offset;
}

at::Tensor scalar(double value, at::Device device) {
  auto tensor = at::empty({}, at::TensorOptions().dtype(at::kDouble).device(device));
  if (!tensor.is_meta()) *tensor.data_ptr<double>() = value;
  return tensor;
}

double value_of(const at::Tensor& scalar) { return scalar.is_meta() ? 0 : scalar.item<double>(); }

// What a unit reads: the same values as the unit before wrote, at the start of a graph of its own.
Carry start_of_graph(const Carry& outputs) {
  Carry inputs;
  for (const auto& output : outputs) inputs.push_back(output.detach().requires_grad_());
  return inputs;
}

int64_t count_targets(const at::Tensor& targets) {
  if (targets.is_meta()) return targets.numel();
  const auto* target = targets.const_data_ptr<int64_t>();
  return targets.numel() - std::count(target, target + targets.numel(), kIgnoredTarget);
}

}  // namespace

Engine::Engine(const Model& model, Communicator& communicator, const Optimizer& optimizer, MemoryLedger& ledger, EngineOptions options)
    : model_(model),
      communicator_(communicator),
      optimizer_(optimizer),
      ledger_(ledger),
      options_(options),
      training_(Schedule::training(model, options.sharding, options.prefetch)),
      evaluation_(Schedule::evaluation(model, options.sharding, options.prefetch)),
      gathers_(model.groups().size()) {
  const ParamGroupOptions group_options{options.sharding, options.device, options.seed, optimizer.state_count()};
  std::vector<int64_t> sizes;
  int64_t scratch_bytes = 0;
  for (const auto& declaration : model.groups()) {
    groups_.push_back(std::make_unique<ParamGroup>(declaration, communicator, ledger, group_options));
    const auto& layout = groups_.back()->layout();
    sizes.push_back(layout.padded_count() * static_cast<int64_t>(sizeof(float)));
    scratch_bytes = std::max(scratch_bytes, communicator.reduce_scratch_bytes(layout.slice_count(), at::kFloat));
  }
  training_gathers_ = plan_slots(training_.gathered, sizes);
  evaluation_gathers_ = plan_slots(evaluation_.gathered, sizes);
  gradient_plan_ = plan_slots(training_.gradients, sizes);

  const auto slots = [&](Category category, int64_t bytes) {
    const MemoryScope scope(ledger, category);
    return bytes ? allocate_touched(communicator, bytes) : at::Tensor();
  };
  gather_slots_ = slots(Category::gathered, std::max(training_gathers_.bytes, evaluation_gathers_.bytes));
  gradient_slots_ = slots(Category::communication, gradient_plan_.bytes);
  scratch_ = slots(Category::communication, scratch_bytes);
}

StepResult Engine::train_step(std::span<const Batch> micro_batches, double lr) {
  ZR_CHECK(std::ssize(micro_batches) == options_.micro_batches, "{} micro-batches in a step of {}", micro_batches.size(),
           options_.micro_batches);
  const int64_t tokens = total_tokens(micro_batches);
  const double loss_scale = 1.0 / static_cast<double>(std::max<int64_t>(tokens, 1));

  Sums own;
  for (const auto& batch : micro_batches) {
    const Place place{&batch == &micro_batches.front(), &batch == &micro_batches.back()};
    own.loss += run_passes({batch.tokens, batch.targets, Mode::train, loss_scale}, place);
  }
  for (const auto& group : groups_) group->share_gradients().wait();
  for (const auto& group : groups_) own.squared_norm += group->squared_gradient_norm();
  const Sums sums = sum_over_ranks(own);
  const StepResult result{sums.loss * loss_scale, std::sqrt(sums.squared_norm), tokens};
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    fail(ErrorKind::non_finite, "step {}: loss {}, gradient norm {}; a lower learning rate or a longer warm-up often helps", steps_taken_ + 1,
         result.loss, result.gradient_norm);
  }
  update(lr, clip_factor(result.gradient_norm, options_.max_norm));
  return result;
}

// Forward keeps a tape of {inputs, outputs}, one small graph per unit; backward walks it from the end.
double Engine::run_passes(const StepContext& context, Place place) {
  std::vector<Frame> tape;
  Carry flow;  // forward: what the next unit reads; backward: the gradient of what the unit wrote
  double loss = 0;
  for (const auto& visit : training_.visits) {
    prepare(visit, training_, training_gathers_, place);
    if (!visit.backward) {
      const MemoryScope scope(ledger_, Category::activations);
      Frame frame{start_of_graph(flow), {}};
      frame.outputs = forward(visit.unit, context, frame.inputs);
      flow = frame.outputs;
      tape.push_back(std::move(frame));
      if (visit.unit == model_.unit_count() - 1) {
        loss = value_of(flow[0]);
        flow = {scalar(context.loss_scale, options_.device)};
      }
    } else {
      const MemoryScope scope(ledger_, Category::activations);
      flow = backward(std::move(tape.back()), std::move(flow));
      tape.pop_back();
    }
    finish(visit, place);
  }
  for (auto& reduce : reduces_) reduce.wait();
  reduces_.clear();
  return loss;
}

// Starts what runs beside this visit, and waits for what it needs.
void Engine::prepare(const Visit& visit, const Schedule& schedule, const SlotPlan& gather_plan, Place place) {
  for (const int group : visit.open) {
    Slot slot = nullptr;
    for (size_t i = 0; i < schedule.gradients.size(); ++i) {
      if (schedule.gradients[i].group == group) slot = at_offset(gradient_slots_, gradient_plan_.offsets[i]);
    }
    groups_[group]->open_gradients(slot, place.first);
  }
  for (const int i : visit.gather) {
    const int group = schedule.gathered[i].group;
    gathers_[group] = groups_[group]->gather(at_offset(gather_slots_, gather_plan.offsets[i]));
  }
  for (const int group : visit.use) gathers_[group].wait();
}

Carry Engine::forward(int unit, const StepContext& context, Carry inputs) {
  return model_.unit(unit).forward(context, weights_of(unit), std::move(inputs));
}

Carry Engine::backward(Frame frame, Carry gradients) {
  torch::autograd::backward(std::exchange(frame.outputs, {}), std::move(gradients));
  Carry flow;
  for (auto& input : frame.inputs) flow.push_back(std::exchange(input.mutable_grad(), {}));
  return flow;
}

// Releases what is no longer needed and starts the sums of gradients that are complete. They run while the next unit
// computes, whose own sums wait for them.
void Engine::finish(const Visit& visit, Place place) {
  for (const int group : visit.release) groups_[group]->reshard();
  if (!visit.backward) return;
  for (auto& reduce : reduces_) reduce.wait();
  reduces_.clear();
  if (!place.last && !options_.sharding.sums_each) return;
  const Span scratch{at_offset(scratch_, 0), scratch_.numel(), at::kByte};
  for (const int group : visit.reduce) reduces_.push_back(groups_[group]->reduce(scratch, place.first));
}

void Engine::update(double lr, double gradient_scale) {
  const UpdateArguments arguments{++steps_taken_, lr, gradient_scale};
  std::vector<Work> publishing;
  for (auto& group : groups_) {
    group->update(optimizer_, arguments);
    publishing.push_back(group->publish());
  }
  for (auto& work : publishing) work.wait();
}

LossSum Engine::evaluate(const Batch& batch) {
  const at::NoGradGuard no_grad;
  const StepContext context{batch.tokens, batch.targets, Mode::evaluate, 1};
  Carry flow;
  for (const auto& visit : evaluation_.visits) {
    prepare(visit, evaluation_, evaluation_gathers_, {true, true});
    const MemoryScope scope(ledger_, Category::activations);
    flow = forward(visit.unit, context, std::move(flow));
    finish(visit, {true, true});
  }
  return {sum_over_ranks({value_of(flow[0]), 0}).loss, total_tokens({&batch, 1})};
}

std::vector<at::Tensor> Engine::weights_of(int unit) const {
  std::vector<at::Tensor> weights;
  for (const auto& place : model_.places(unit)) weights.push_back(group_of(place).weight(place.parameter));
  return weights;
}

int64_t Engine::total_tokens(std::span<const Batch> batches) {
  int64_t own = 0;
  for (const auto& batch : batches) own += count_targets(batch.targets);
  std::vector<int64_t> all(communicator_.size());
  communicator_.exchange(&own, all.data(), sizeof(own));
  int64_t total = 0;
  for (const int64_t tokens : all) total += tokens;
  return total;
}

// In rank order: every rank has the same bits.
Engine::Sums Engine::sum_over_ranks(Sums own) {
  std::vector<Sums> all(communicator_.size());
  communicator_.exchange(&own, all.data(), sizeof(own));
  Sums total;
  for (const auto& sums : all) {
    total.loss += sums.loss;
    total.squared_norm += sums.squared_norm;
  }
  return total;
}

void Engine::for_each_parameter(const Visitor& visit, ParamGroup::Content content) {
  for (const auto& group : groups_) {
    const MemoryScope scope(ledger_, Category::gathered);
    const auto whole = group->read_whole(content);
    const auto& parameters = group->declaration().parameters;
    for (size_t p = 0; p < parameters.size(); ++p) {
      const int64_t offset = group->layout().offset(static_cast<int>(p));
      visit(parameters[p], whole.narrow(0, offset, parameters[p].count()).view(parameters[p].shape));
    }
  }
}

int64_t Engine::padding() const {
  int64_t padding = 0;
  for (const auto& group : groups_) padding += group->layout().padding();
  return padding;
}

}  // namespace zerorun
