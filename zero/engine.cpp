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

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/operation_count.h"
#include "zero/control.h"
#include "zero/flat_span.h"
#include "zero/graph.h"

namespace zerorun {
StepResult Engine::train_step(std::span<const Batch> micro_batches, double lr) {
  ZR_CHECK(!options_.inference, "an engine for inference takes no training step");
  ZR_CHECK(std::ssize(micro_batches) == options_.micro_batches, "{} micro-batches in a step of {}", micro_batches.size(),
           options_.micro_batches);
  told_step_ = steps_ + 1;
  work_ = {};
  const int64_t tokens = total_targets(communicator_, micro_batches);
  const double per_token = 1.0 / static_cast<double>(std::max<int64_t>(tokens, 1)), scale = scaler_.scale();

  update_ = {updates_ + 1, lr, 1 / scale};
  Carry losses;  // of micro-batches: on a GPU they are known when all is done
  stage_.restart();
  norms_->restart();
  for (const auto& batch : micro_batches) {
    const MicroBatchPlace place{&batch == &micro_batches.front(), &batch == &micro_batches.back()};
    StepContext context{{}, {}, Mode::train, per_token * scale, {options_.seed, steps_, batch.first_sample}};
    stage_.place(batch.tokens, batch.targets, /*ordered=*/true, context);
    if (computes_ && !computes_(std::ssize(losses))) {
      const MemoryScope scope(ledger_, Category::activations);
      losses.push_back(losses.back().clone());
      continue;
    }
    losses.push_back(run_passes(context, place));
  }
  ++steps_;
  gradient_scale_ = scale;
  tell("gradient norm");
  {
    const SentScope sent(options_.sent, work_.published);
    for (const auto& group : groups_) group->share_gradients().wait();
  }
  for (size_t g = 0; g < groups_.size(); ++g) groups_[g]->take_squared_norm(*norms_, g);
  const StepSums sums = decision_ ? update_by_decision(losses) : sum_on_host(losses);
  StepResult result{sums.loss * per_token, std::sqrt(sums.squared_norm) / scale, tokens, scale};
  result.skipped = !accept(result);
  if (!result.skipped) ++updates_;
  if (!result.skipped && !decision_) {
    update_.gradient_scale *= clip_factor(result.gradient_norm, options_.max_norm);
    update();
  }
  count_moves(nullptr);
  return result;
}

// Forward records {inputs, outputs} on a tape, one small graph per unit; backward walks it from the end. Units before the
// first that has something to train are computed, and that is all.
at::Tensor Engine::run_passes(const StepContext& context, MicroBatchPlace place) {
  const int first = model_.first_trainable_unit();
  auto* const frames = sleeping_ ? sleeping_->frames() : nullptr;
  if (frames) frames->reserve(context);
  Tape tape(model_.unit_count(), frames);
  Carry flow;  // forward: what the next unit reads; backward: the gradient of what the unit wrote
  at::Tensor loss;
  for (int v = 0; const auto& visit : training_.schedule.visits) {
    auto& work = visit.backward ? work_.backward : work_.forward;
    const SentScope sent(options_.sent, work.sent);
    count_moves(&work);
    prepare(training_, v++, place);
    const CountScope operations(work.operations);
    const MemoryScope scope(ledger_, Category::activations);
    if (visit.backward) {
      auto frame = tape.take(visit.unit);
      const auto span = trace("backward of ", model_.unit(visit.unit).name());
      flow = backward(visit.unit, context, std::move(frame), std::move(flow));
    } else if (visit.unit < first) {
      const auto span = trace("forward of ", model_.unit(visit.unit).name());
      flow = forward(visit.unit, context, std::move(flow), /*graph=*/false);
    } else {
      const auto& inputs = tape.record(visit.unit, start_of_graph(flow, /*requires_grad=*/visit.unit > first));
      {
        const auto span = trace("forward of ", model_.unit(visit.unit).name());
        flow = forward(visit.unit, context, inputs, keeps_graph(visit.unit));
      }
      tape.computed(visit.unit, keeps_graph(visit.unit) ? flow : Carry());
    }
    if (!visit.backward && visit.unit == model_.unit_count() - 1) {
      loss = flow[0].detach();
      flow = {scalar(context.loss_scale, options_.device)};
    }
    finish(visit, place);
  }
  finish_reduces(place);
  return loss;
}

// Starts what runs beside this visit, and waits for what it needs.
void Engine::prepare(const Pass& pass, int v, MicroBatchPlace place) {
  const auto& visit = pass.schedule.visits[v];
  const auto& uploads = pass.uploads.starts[v];
  tell("{} of {}", visit.backward ? "backward" : "forward", model_.unit(visit.unit).name());
  open_gradients(pass, v, place);
  fetch(pass, uploads.first);
  for (const int i : visit.gather) {
    const int group = pass.schedule.gathered[i].group;
    gathers_[group] = groups_[group]->gather(at_offset(gather_slots_, pass.gathers.offsets[i]));
    if (const auto event = groups_[group]->written_back()) written_back_ = *event;
  }
  for (const int group : visit.use) gathers_[group].wait();
  for (const int group : model_.groups_of(visit.unit)) groups_[group]->settle();
  fetch(pass, uploads.ahead);
}

// A slot is free again once the sum that it had before has landed where it sleeps.
void Engine::open_gradients(const Pass& pass, int v, MicroBatchPlace place) {
  const auto& lives = pass.schedule.gradients;
  for (const int group : pass.schedule.visits[v].open) {
    Slot slot = nullptr;
    for (size_t i = 0; i < lives.size(); ++i) {
      if (lives[i].group == group) slot = at_offset(gradient_slots_, pass.gradients.offsets[i]);
      if (lives[i].end < v || lives[i].begin >= v) groups_[lives[i].group]->wait_until_landed();
    }
    groups_[group]->open_gradients(slot, place, model_.gradients_come_from_ops(group));
  }
}

void Engine::fetch(const Pass& pass, const std::vector<int>& uploads) {
  for (const int i : uploads) groups_[pass.uploads.uploads[i].group]->fetch(at_offset(upload_slots_, pass.slots_of_uploads.offsets[i]), written_back_);
}

Carry Engine::forward(int unit, const StepContext& context, Carry inputs, bool graph) {
  const at::AutoGradMode mode(graph);
  return model_.unit(unit).forward(context, weights_of(unit), std::move(inputs));
}

// Without a graph backward computes the unit once more. Not where backward has no weights to do so: such a unit keeps little.
bool Engine::keeps_graph(int unit) const { return !options_.recompute || !model_.unit(unit).backward_needs_weights(); }

Carry Engine::backward(int unit, const StepContext& context, Tape::Frame frame, Carry gradients) {
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
  finish_reduces(place);
  const Span scratch = span_of(scratch_);
  for (const int group : visit.reduce) reduces_.push_back({group, groups_[group]->reduce(scratch, place, *norms_, static_cast<size_t>(group))});
}

// No rank computes with what has been summed any more.
void Engine::finish_reduces(MicroBatchPlace place) {
  for (auto& [index, sum] : reduces_) {
    sum.wait();
    auto& group = *groups_[index];
    if (place.last && updates_early() && group.updates_beside()) update(group, work_.backward);
  }
  reduces_.clear();
}

void Engine::update(ParamGroup& group, PhaseWork& beside) {
  const TraceSpan span(group.updates_beside() ? nullptr : options_.trace, "compute", "update");
  group.update(optimizer_, update_);
  (group.updates_beside() ? beside.updated : work_.updated) += group.updated_count();
}

void Engine::update() {
  tell("update");
  const SentScope sent(options_.sent, work_.published);
  count_moves(&work_.forward);  // what is asked for here runs beside the next forward
  std::vector<Work> publishing;
  for (auto& group : groups_) {
    if (!updates_early() || !group->updates_beside()) update(*group, work_.forward);
    publishing.push_back(group->publish());
  }
  for (auto& work : publishing) work.wait();
}

std::vector<at::Tensor> Engine::weights_of(int unit) const {
  std::vector<at::Tensor> weights;
  for (const auto& place : model_.places(unit)) weights.push_back(groups_[place.group]->weight(place.parameter));
  return weights;
}

}  // namespace zerorun
