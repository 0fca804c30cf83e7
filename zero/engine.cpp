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
#include "zero/control.h"
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
Carry start_of_graph(const Carry& outputs, bool requires_grad) {
  Carry inputs;
  for (const auto& output : outputs) inputs.push_back(output.detach().requires_grad_(requires_grad));
  return inputs;
}

// Backward through one graph. An output that no weight went into, or that no later unit read, has no gradient to start with.
void run_graph(Carry outputs, Carry gradients) {
  Carry roots, seeds;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].requires_grad() || !gradients[i].defined()) continue;
    roots.push_back(std::move(outputs[i]));
    seeds.push_back(std::move(gradients[i]));
  }
  if (!roots.empty()) torch::autograd::backward(roots, seeds);
}

}  // namespace

Engine::Engine(const Model& model, Communicator& communicator, const Optimizer& optimizer, MemoryLedger& ledger, EngineOptions options)
    : model_(model),
      communicator_(communicator),
      optimizer_(optimizer),
      ledger_(ledger),
      options_(options),
      training_(options.inference ? Schedule()
                                  : Schedule::training(model, options.sharding, options.sharding.gradients_use_slots(options.precision), options.prefetch)),
      evaluation_(Schedule::evaluation(model, options.sharding, options.prefetch)),
      gathers_(model.groups().size()),
      scaler_(options.loss_scaling) {
  const ParamGroupOptions group_options{options.sharding, options.precision, options.device, options.seed, optimizer.state_count(), options.initial,
                                       options.inference};
  std::vector<int64_t> gathered, gradients;
  int64_t scratch_bytes = 0;
  for (const auto& declaration : model.groups()) {
    const auto& group = *groups_.emplace_back(std::make_unique<ParamGroup>(declaration, communicator, ledger, group_options));
    gathered.push_back(group.gather_slot_bytes());
    gradients.push_back(group.gradient_slot_bytes());
    scratch_bytes = std::max(scratch_bytes, group.reduce_scratch_bytes());
  }
  training_gathers_ = plan_slots(training_.gathered, gathered);
  evaluation_gathers_ = plan_slots(evaluation_.gathered, gathered);
  gradient_plan_ = plan_slots(training_.gradients, gradients);

  const auto slots = [&](Category category, int64_t bytes) {
    const MemoryScope scope(ledger, category);
    return bytes ? allocate_touched(communicator, bytes) : at::Tensor();
  };
  gather_slots_ = slots(Category::gathered, std::max(training_gathers_.bytes, evaluation_gathers_.bytes));
  gradient_slots_ = slots(Category::communication, gradient_plan_.bytes);
  scratch_ = slots(Category::communication, scratch_bytes);
}

StepResult Engine::train_step(std::span<const Batch> micro_batches, double lr) {
  ZR_CHECK(!options_.inference, "an engine for inference takes no training step");
  ZR_CHECK(std::ssize(micro_batches) == options_.micro_batches, "{} micro-batches in a step of {}", micro_batches.size(),
           options_.micro_batches);
  told_step_ = steps_ + 1;
  const int64_t tokens = total_targets(communicator_, micro_batches);
  const double per_token = 1.0 / static_cast<double>(std::max<int64_t>(tokens, 1)), scale = scaler_.scale();

  StepSums own;
  for (const auto& batch : micro_batches) {
    const MicroBatchPlace place{&batch == &micro_batches.front(), &batch == &micro_batches.back()};
    const StepKey key{options_.seed, steps_, batch.first_sample};
    own.loss += run_passes({batch.tokens, batch.targets, Mode::train, per_token * scale, key}, place);
  }
  ++steps_;
  gradient_scale_ = scale;
  tell("gradient norm");
  for (const auto& group : groups_) group->share_gradients().wait();
  for (const auto& group : groups_) own.squared_norm += group->squared_gradient_norm();
  const StepSums sums = sum_over_ranks(communicator_, own);
  StepResult result{sums.loss * per_token, std::sqrt(sums.squared_norm) / scale, tokens, scale};
  result.skipped = !accept(result);
  if (!result.skipped) update(lr, clip_factor(result.gradient_norm, options_.max_norm) / scale);
  return result;
}

// What is no finite number on one rank is none in the sums, so that all ranks decide alike.
bool Engine::accept(const StepResult& result) {
  const bool finite = std::isfinite(result.loss) && std::isfinite(result.gradient_norm);
  if (scaler_.is_dynamic()) {
    scaler_.step(finite);
  } else if (!finite) {
    fail(ErrorKind::non_finite, "step {}: loss {}, gradient norm {}; a lower learning rate or a longer warm-up often helps", steps_, result.loss,
         result.gradient_norm);
  }
  return finite;
}

// Forward keeps a tape of {inputs, outputs}, one small graph per unit; backward walks it from the end. Units before the
// first that has something to train are computed, and that is all.
double Engine::run_passes(const StepContext& context, MicroBatchPlace place) {
  const int first = model_.first_trainable_unit();
  std::vector<Frame> tape;
  Carry flow;  // forward: what the next unit reads; backward: the gradient of what the unit wrote
  double loss = 0;
  for (const auto& visit : training_.visits) {
    prepare(visit, training_, training_gathers_, place);
    const MemoryScope scope(ledger_, Category::activations);
    if (visit.backward) {
      flow = backward(visit.unit, context, std::exchange(tape.back(), {}), std::move(flow));
      tape.pop_back();
    } else if (visit.unit < first) {
      flow = forward(visit.unit, context, std::move(flow), /*graph=*/false);
    } else {
      auto& frame = tape.emplace_back(Frame{start_of_graph(flow, /*requires_grad=*/visit.unit > first), {}});
      flow = forward(visit.unit, context, frame.inputs, keeps_graph(visit.unit));
      if (keeps_graph(visit.unit)) frame.outputs = flow;
    }
    if (!visit.backward && visit.unit == model_.unit_count() - 1) {
      loss = value_of(flow[0]);
      flow = {scalar(context.loss_scale, options_.device)};
    }
    finish(visit, place);
  }
  for (auto& reduce : reduces_) reduce.wait();
  reduces_.clear();
  return loss;
}

// Starts what runs beside this visit, and waits for what it needs.
void Engine::prepare(const Visit& visit, const Schedule& schedule, const SlotPlan& gather_plan, MicroBatchPlace place) {
  tell("{} of {}", visit.backward ? "backward" : "forward", model_.unit(visit.unit).name());
  for (const int group : visit.open) {
    Slot slot = nullptr;
    for (size_t i = 0; i < schedule.gradients.size(); ++i) {
      if (schedule.gradients[i].group == group) slot = at_offset(gradient_slots_, gradient_plan_.offsets[i]);
    }
    groups_[group]->open_gradients(slot, place, model_.gradients_come_from_ops(group));
  }
  for (const int i : visit.gather) {
    const int group = schedule.gathered[i].group;
    gathers_[group] = groups_[group]->gather(at_offset(gather_slots_, gather_plan.offsets[i]));
  }
  for (const int group : visit.use) gathers_[group].wait();
}

Carry Engine::forward(int unit, const StepContext& context, Carry inputs, bool graph) {
  const at::AutoGradMode mode(graph);
  return model_.unit(unit).forward(context, weights_of(unit), std::move(inputs));
}

// Without a graph backward computes the unit once more. Not where backward has no weights to do so: such a unit keeps little.
bool Engine::keeps_graph(int unit) const { return !options_.recompute || !model_.unit(unit).backward_needs_weights(); }

Carry Engine::backward(int unit, const StepContext& context, Frame frame, Carry gradients) {
  if (frame.outputs.empty()) frame.outputs = forward(unit, context, frame.inputs, /*graph=*/true);
  run_graph(std::exchange(frame.outputs, {}), std::move(gradients));
  Carry flow;
  for (auto& input : frame.inputs) flow.push_back(std::exchange(input.mutable_grad(), {}));
  return flow;
}

// Releases what is no longer needed and starts the sums of gradients that are complete. They run while the next unit
// computes, whose own sums wait for them.
void Engine::finish(const Visit& visit, MicroBatchPlace place) {
  for (const int group : visit.release) groups_[group]->reshard();
  if (!visit.backward) return;
  for (auto& reduce : reduces_) reduce.wait();
  reduces_.clear();
  const Span scratch{at_offset(scratch_, 0), scratch_.numel(), at::kByte};
  for (const int group : visit.reduce) reduces_.push_back(groups_[group]->reduce(scratch, place));
}

void Engine::update(double lr, double gradient_scale) {
  tell("update");
  const UpdateArguments arguments{++updates_, lr, gradient_scale};
  std::vector<Work> publishing;
  for (auto& group : groups_) {
    group->update(optimizer_, arguments);
    publishing.push_back(group->publish());
  }
  for (auto& work : publishing) work.wait();
}

// Forward and nothing else: of what flows, what the last unit returns.
Carry Engine::run_forward(const StepContext& context) {
  Carry flow;
  for (const auto& visit : evaluation_.visits) {
    prepare(visit, evaluation_, evaluation_gathers_, {});
    const MemoryScope scope(ledger_, Category::activations);
    flow = forward(visit.unit, context, std::move(flow), /*graph=*/false);
    finish(visit, {});
  }
  return flow;
}

LossSum Engine::evaluate(const Batch& batch) {
  const Carry flow = run_forward({batch.tokens, batch.targets, Mode::evaluate});
  return {sum_over_ranks(communicator_, {value_of(flow[0]), 0}).loss, total_targets(communicator_, {&batch, 1})};
}

at::Tensor Engine::infer(const at::Tensor& tokens, KeyValueCache& cache) {
  const Mode mode = cache.begin_pass(tokens.size(0), tokens.size(1));
  return run_forward({tokens, {}, mode, 1, {}, &cache})[0];
}

std::vector<at::Tensor> Engine::weights_of(int unit) const {
  std::vector<at::Tensor> weights;
  for (const auto& place : model_.places(unit)) weights.push_back(groups_[place.group]->weight(place.parameter));
  return weights;
}

}  // namespace zerorun
