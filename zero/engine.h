// The engine: one rank's part of ZeRO training. It owns the groups and walks the schedule; the step is in engine.cpp,
// which reads from top to bottom.
//
// Memory per rank, beside what the groups keep resident (param_group.h): gathered = slots for the units in use and
// `prefetch` more (stage 3), and for the slices on their way from where they sleep (upload_plan.h); communication = slots of gradients on their way (stages 2, 3) and the scratch of a
// reduction; activations = what the units' forward and backward allocate, the tape between them.
// Bytes sent per step and rank, P = padded elements, e_p and e_r = bytes of the dtypes of parameters and gradients, times
// (N-1)/N: stage 0 all_reduce 2 P e_r; stages 1 and 2 reduce_scatter P e_r + all_gather P e_p; stage 3 all_gather
// (1 + [backward needs weights]) P e_p + reduce_scatter P e_r; P is that of trainable groups but for the all_gather of
// stage 3. With M micro-batches M times at stages 2 and 3, but for the all_gather of stage 2. In strict mode M
// reduce_scatter at every stage; stage 0 sends all_gather P e_r then instead of the rest of its all_reduce, and stage 1
// keeps 1/N of the gradients.
#pragma once
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "core/data/batches.h"
#include "core/kv_cache.h"
#include "core/memory.h"
#include "core/model.h"
#include "core/trace.h"
#include "zero/batch_stage.h"
#include "zero/gpu_decision.h"
#include "zero/gradient_norm.h"
#include "zero/loss_scaler.h"
#include "zero/offload_options.h"
#include "zero/optimizer.h"
#include "zero/param_group.h"
#include "zero/schedule.h"
#include "zero/sharding.h"
#include "zero/sleeping_state.h"
#include "zero/step_work.h"
#include "zero/tape.h"
#include "zero/upload_plan.h"

namespace zerorun {

struct EngineOptions {
  Sharding sharding;
  Precision precision = {};
  LossScaling loss_scaling = {};  // for fp16
  bool recompute = false;    // activations of a unit again in backward, instead of keeping them
  int prefetch = 1;       // units gathered ahead
  int micro_batches = 1;  // of a step; the sharding was made for
  double max_norm = 1.0;  // of the gradient; 0: no clipping
  // Whether a loss or a norm that is no finite number ends the training. Without that, without clipping and without a dynamic loss scale nothing is left to wait
  // for: what sleeps is updated as soon as its gradient has landed, beside the rest of backward.
  bool check_finite = true;
  uint64_t seed = 42;     // of the initial parameters, and of what a step draws
  at::Device device = at::kCPU;
  const ParameterSource* initial = nullptr;  // of the parameters, read in the constructor; null: from the seed. Nothing is read on meta
  OffloadOptions offload = {};  // what sleeps outside of the device
  Trace* trace = nullptr;       // gets what is computed and what moves; it outlives the engine
  SentBytes sent = {};          // for StepWork; without it nothing is counted there
  bool inference = false;  // evaluate and infer only: no gradients, no states, no masters, no slots or scratch for them
};

struct StepResult {
  double loss = 0;           // mean over the target tokens of all ranks
  double gradient_norm = 0;  // before clipping
  int64_t tokens = 0;        // target tokens of all ranks
  double loss_scale = 1;     // that the step ran with
  bool skipped = false;      // gradients overflowed at this scale: nothing was updated
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
  // weighs the same, whichever micro-batch or rank it is in. REQUIRES options.micro_batches batches. Where the loss or the
  // gradient's norm is not a number or infinite, nothing is updated on any rank: with a dynamic loss scale the step is
  // skipped, else it throws Error(non_finite), or goes on where options.check_finite is off.
  StepResult train_step(std::span<const Batch> micro_batches, double lr);
  LossSum evaluate(const Batch& batch);
  // tokens int64 [samples, count], the next of each sample's text -> logits fp32 [samples, V] for the token after them. The cache
  // tells what came before: nothing (count is the prompt's length) or earlier passes (count is 1). Each rank passes its own texts,
  // or all the same. Sends the all_gathers of an evaluation, whatever the count; the cache is charged to activations.
  at::Tensor infer(const at::Tensor& tokens, KeyValueCache& cache);

  // Takes the space that training steps with micro-batches of this shape need for what sleeps; without it the first such step does. Of no effect elsewhere.
  void reserve(int64_t samples, int64_t seq_len);

  // Waits for updates that run beside what comes after their step, where something sleeps: for who ends a run, or takes its time.
  void flush();

  // Calls visit(parameter, value) for every parameter, group by group; value is an fp32 tensor of its shape that is valid
  // during the call. Gradients are those of the last step, summed over ranks, before clipping.
  using Visitor = std::function<void(const Parameter&, const at::Tensor&)>;
  void for_each_parameter(const Visitor& visit, ParamGroup::Content content = ParamGroup::Content::parameters);

  // For a dry run: computes(m) is asked where micro-batch m of a step begins; where not, only a loss like the last one is kept. REQUIRES that the first and the last are computed.
  void choose_micro_batches(std::function<bool(int64_t)> computes) { computes_ = std::move(computes); }

  // Elements that hold no parameter, in whole groups.
  int64_t padding() const;
  // Of the last training step, or evaluation: all in forward then.
  const StepWork& last_step() const { return work_; }
  // What its stores have to do without, for the user to see.
  std::vector<std::string> notes() const { return sleeping_ ? sleeping_->notes() : std::vector<std::string>(); }

 private:
  // To the other ranks, with the step.
  template <typename... Words>
  void tell(fmt::format_string<Words...> format, Words&&... words) {
    communicator_.tell(Activity(fmt::format("{}, step {}", fmt::format(format, std::forward<Words>(words)...), told_step_)));
  }
  // A way through the model, and the slots that it needs.
  struct Pass {
    Schedule schedule;
    SlotPlan gathers, gradients, slots_of_uploads;
    UploadPlan uploads;
  };
  Pass plan(Schedule schedule) const;
  at::Tensor make_slots(Category category, int64_t bytes);

  // On the trace, until it goes.
  TraceSpan trace(const char* verb, const std::string& what = "") const { return TraceSpan(options_.trace, "compute", options_.trace ? verb + what : ""); }
  void prepare(const Pass& pass, int visit, MicroBatchPlace place);
  void open_gradients(const Pass& pass, int visit, MicroBatchPlace place);
  void fetch(const Pass& pass, const std::vector<int>& uploads);
  std::vector<at::Tensor> weights_of(int unit) const;
  void finish(const Visit& visit, MicroBatchPlace place);
  Carry forward(int unit, const StepContext& context, Carry inputs, bool graph);
  bool keeps_graph(int unit) const;
  Carry backward(int unit, const StepContext& context, Tape::Frame frame, Carry gradients);
  at::Tensor run_passes(const StepContext& context, MicroBatchPlace place);
  Carry run_forward(const StepContext& context);
  StepSums sum_on_host(const Carry& losses);
  StepSums update_by_decision(const Carry& losses);
  bool accept(const StepResult& result);
  // What is asked to move from now on; null: nothing is counted.
  void count_moves(PhaseWork* phase) {
    if (sleeping_) sleeping_->count_in(phase ? &phase->moves : nullptr);
  }
  void update();
  void update(ParamGroup& group, PhaseWork& beside);
  bool updates_early() const { return options_.max_norm == 0 && !options_.check_finite && !scaler_.is_dynamic(); }
  void finish_reduces(MicroBatchPlace place);

  const Model& model_;
  Communicator& communicator_;
  const Optimizer& optimizer_;
  MemoryLedger& ledger_;
  EngineOptions options_;
  std::vector<std::unique_ptr<ParamGroup>> groups_;
  Pass training_, evaluation_;
  at::Tensor gather_slots_, upload_slots_, gradient_slots_, scratch_;
  BatchStage stage_;
  std::optional<NormsOfGroups> norms_;
  std::unique_ptr<GpuDecision> decision_;  // where all of the step is on a GPU
  std::vector<Work> gathers_;  // by group
  struct Reduce {
    int group;
    Work work;
  };
  std::vector<Reduce> reduces_;  // in flight
  Event written_back_;         // the last slice that was updated in its upload slot
  LossScaler scaler_;
  StepWork work_;
  double gradient_scale_ = 1;  // of the gradients that the last step left
  int64_t steps_ = 0;          // trained
  int64_t told_step_ = 0;      // under way
  int64_t updates_ = 0;        // of them, not skipped
  UpdateArguments update_;     // of the step under way
  std::function<bool(int64_t)> computes_;  // all, where it is null
  std::unique_ptr<SleepingState> sleeping_;  // the last, so that nothing moves any more when the rest goes; null where nothing sleeps
};

}  // namespace zerorun
