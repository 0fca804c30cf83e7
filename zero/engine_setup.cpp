// How an engine is made: what sleeps, groups, passes over the model, and the slots that they need.
#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/memory.h"
#include "zero/engine.h"

namespace zerorun {
namespace {

UploadOptions upload_options(const EngineOptions& options, int ranks) {
  return {.buffer_count = options.offload.buffer_count, .overlaps = options.offload.parameters.overlaps, .gathered = ranks > 1};
}

// Visits that a gradient slot lives on after its last use: the sum over ranks runs beside the next, and what has been summed lands where it
// sleeps beside the one after that.
int visits_of_reduction(const EngineOptions& options, int ranks) {
  if (!options.offload.optimizer.sleeps()) return 1;
  const int visits = (ranks > 1 ? 1 : 0) + (options.offload.optimizer.overlaps ? 1 : 0);
  return options.offload.ratio < 1 ? std::max(visits, 1) : visits;  // for the groups whose optimizer stays
}

}  // namespace

Engine::Engine(const Model& model, Communicator& communicator, const Optimizer& optimizer, MemoryLedger& ledger, EngineOptions options)
    : model_(model),
      communicator_(communicator),
      optimizer_(optimizer),
      ledger_(ledger),
      options_(std::move(options)),
      stage_(options_.device, ledger),
      gathers_(model.groups().size()),
      scaler_(options_.loss_scaling) {
  if (options_.trace) {
    options_.offload.make_stream = [make = options_.offload.make_stream, its_trace = options_.trace](const std::string& name, int threads) {
      return traced(make(name, threads), *its_trace, name);
    };
  }
  const auto& [sharding, precision] = std::pair(options_.sharding, options_.precision);
  const bool is_meta = options_.device == at::kMeta, inference = options_.inference;
  ZR_CHECK(!options_.offload.activations.sleeps() || options_.recompute, "activations that sleep are not recomputed");
  ZR_CHECK(!precision.stochastic_rounding || precision.parameters == at::kBFloat16, "parameters in {} are rounded at random, expected bf16", c10::toString(precision.parameters));
  if (options_.offload.any()) {
    sleeping_ = std::make_unique<SleepingState>(model, ledger,
                                                SleepingStateOptions{.offload = options_.offload,
                                                                     .sharding = sharding,
                                                                     .precision = precision,
                                                                     .optimizer_states = optimizer.state_count(),
                                                                     .ranks = communicator.size(),
                                                                     .micro_batches = options_.micro_batches,
                                                                     .inference = inference,
                                                                     .device = options_.device,
                                                                     .counts_only = is_meta});
  }
  const ParamGroupOptions group_options{sharding, precision, options_.device, options_.seed, optimizer.state_count(), options_.initial, inference, options_.trace};
  int64_t scratch_bytes = 0;
  for (const auto& declaration : model.groups()) {
    auto* sleeping = sleeping_ ? sleeping_->group(groups_.size()) : nullptr;
    groups_.push_back(std::make_unique<ParamGroup>(declaration, communicator, ledger, group_options, sleeping));
    scratch_bytes = std::max(scratch_bytes, groups_.back()->reduce_scratch_bytes());
  }

  const bool uploads = options_.offload.parameters.sleeps();
  const int prefetch = uploads ? prefetch_with_uploads(options_.prefetch, upload_options(options_, communicator.size())) : options_.prefetch;
  evaluation_ = plan(Schedule::evaluation(model, sharding, prefetch));
  if (!inference) training_ = plan(Schedule::training(model, sharding, prefetch, visits_of_reduction(options_, communicator.size())));
  gather_slots_ = make_slots(Category::gathered, std::max(training_.gathers.bytes, evaluation_.gathers.bytes));
  upload_slots_ = make_slots(Category::gathered, std::max(training_.slots_of_uploads.bytes, evaluation_.slots_of_uploads.bytes));
  gradient_slots_ = make_slots(Category::communication, training_.gradients.bytes);
  scratch_ = make_slots(Category::communication, scratch_bytes);
  const MemoryScope scope(ledger_, Category::communication);
  norms_.emplace(groups_.size(), options_.device);
  if (ledger_.device() == Side::gpu && !sleeping_ && !inference) decision_ = std::make_unique<GpuDecision>(communicator_, ledger_, options_.device);
}

Engine::Pass Engine::plan(Schedule schedule) const {
  std::vector<int64_t> gathered, uploaded, gradients;
  for (const auto& group : groups_) {
    gathered.push_back(group->gather_slot_bytes());
    uploaded.push_back(group->upload_slot_bytes());
    gradients.push_back(group->gradient_slot_bytes());
  }
  Pass pass;
  pass.schedule = std::move(schedule);
  pass.gathers = plan_slots(pass.schedule.gathered, gathered);
  pass.gradients = plan_slots(pass.schedule.gradients, gradients);
  pass.uploads.starts.resize(pass.schedule.visits.size());
  if (options_.offload.parameters.sleeps()) pass.uploads = UploadPlan::of(pass.schedule, uploaded, upload_options(options_, communicator_.size()));
  pass.slots_of_uploads = plan_slots(pass.uploads.uploads, uploaded);
  return pass;
}

at::Tensor Engine::make_slots(Category category, int64_t bytes) {
  const MemoryScope scope(ledger_, category);
  return bytes ? allocate_touched(communicator_, bytes) : at::Tensor();
}

}  // namespace zerorun
