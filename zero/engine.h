// The engine: one rank's part of ZeRO training. It owns the groups and walks the schedule; the step is in engine.cpp,
// which reads from top to bottom.
//
// Memory per rank, beside what the groups keep resident (param_group.h): gathered = slots for the units in use and
// `prefetch` more (stage 3); communication = slots of gradients on their way (stages 2, 3) and the scratch of a
// reduction; activations = what the units' forward and backward allocate, the tape between them.
// Bytes sent per step and rank, P = padded elements, e = 4, times (N-1)/N: stage 0 all_reduce 2 P e; stages 1 and 2
// reduce_scatter P e + all_gather P e; stage 3 all_gather (1 + [backward needs weights]) P e + reduce_scatter P e. With M
// micro-batches M times at stages 2 and 3, but for the all_gather of stage 2. In strict mode M reduce_scatter at every
// stage; stage 0 sends all_gather P e then instead of the rest of its all_reduce, and stage 1 keeps 1/N of the gradients.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "core/data/batches.h"
#include "core/memory.h"
#include "core/model.h"
#include "zero/optimizer.h"
#include "zero/param_group.h"
#include "zero/schedule.h"
#include "zero/sharding.h"

namespace zerorun {

struct EngineOptions {
  Sharding sharding;
  int prefetch = 1;       // units gathered ahead
  int micro_batches = 1;  // of a step; the sharding was made for
  double max_norm = 1.0;  // of the gradient; 0: no clipping
  uint64_t seed = 42;     // of the initial parameters
  at::Device device = at::kCPU;
};

struct StepResult {
  double loss = 0;           // mean over the target tokens of all ranks
  double gradient_norm = 0;  // before clipping
  int64_t tokens = 0;        // target tokens of all ranks
};

// Sums over all ranks, for a mean over many batches.
struct LossSum {
  double sum = 0;
  int64_t tokens = 0;
};

// Every public member is collective: all ranks call it in the same order. Not thread-safe.
class Engine {
 public:
  // REQUIRES that model, communicator, optimizer and ledger outlive the engine.
  Engine(const Model& model, Communicator& communicator, const Optimizer& optimizer, MemoryLedger& ledger, EngineOptions options);
  // Abandons collectives that an exception in the middle of a step left under way: their memory goes with the engine.
  ~Engine() { communicator_.abandon(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Forward and backward on each of this rank's micro-batches, then norm, update, publish. Every target token of the step
  // weighs the same, whichever micro-batch or rank it is in. REQUIRES options.micro_batches batches. Throws Error(non_finite) on every rank, before the
  // update, where the loss or the gradient's norm is not a number or infinite.
  StepResult train_step(std::span<const Batch> micro_batches, double lr);
  LossSum evaluate(const Batch& batch);

  // Calls visit(parameter, value) for every parameter, group by group; value is an fp32 tensor of its shape that is valid
  // during the call. Gradients are those of the last step, summed over ranks, before clipping.
  using Visitor = std::function<void(const Parameter&, const at::Tensor&)>;
  void for_each_parameter(const Visitor& visit, ParamGroup::Content content = ParamGroup::Content::parameters);

  // Elements that hold no parameter, in whole groups.
  int64_t padding() const;

 private:
  struct Frame {
    Carry inputs, outputs;
  };
  // Where a micro-batch stands in its step.
  struct Place {
    bool first, last;
  };
  struct Sums {
    double loss = 0, squared_norm = 0;
  };

  const ParamGroup& group_of(const Model::Place& place) const { return *groups_[place.group]; }
  int64_t total_tokens(std::span<const Batch> batches);
  void prepare(const Visit& visit, const Schedule& schedule, const SlotPlan& gather_plan, Place place);
  std::vector<at::Tensor> weights_of(int unit) const;
  void finish(const Visit& visit, Place place);
  Carry forward(int unit, const StepContext& context, Carry inputs);
  Carry backward(Frame frame, Carry gradients);
  double run_passes(const StepContext& context, Place place);
  Sums sum_over_ranks(Sums own);
  void update(double lr, double gradient_scale);

  const Model& model_;
  Communicator& communicator_;
  const Optimizer& optimizer_;
  MemoryLedger& ledger_;
  EngineOptions options_;
  std::vector<std::unique_ptr<ParamGroup>> groups_;
  Schedule training_, evaluation_;
  SlotPlan training_gathers_, evaluation_gathers_, gradient_plan_;
  at::Tensor gather_slots_, gradient_slots_, scratch_;
  std::vector<Work> gathers_;  // by group
  std::vector<Work> reduces_;  // in flight
  int64_t steps_taken_ = 0;
};

}  // namespace zerorun
