#include "launcher/prediction.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/gpu/gpu.h"
#include "launcher/build.h"
#include "launcher/machine.h"
#include "zero/evaluation.h"
#include "zero/group_layout.h"

namespace zerorun {
namespace {

std::string largest_categories(const RankMemory& memory) {
  std::vector<int> order(kCategoryCount);
  std::iota(order.begin(), order.end(), 0);
  const auto bytes = [&](int category) { return memory.categories[category].predicted; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bytes(a) > bytes(b); });
  std::string text;
  for (int i = 0; i < 3 && bytes(order[i]) > 0; ++i) {
    text += fmt::format("{}{} {}", i ? ", " : "", name_of(static_cast<Category>(order[i])), readable_bytes(bytes(order[i])));
  }
  return text;
}

// Slices are equal, so that every rank has the same share of the padding, rounded to a byte. Of a frozen group only the parameters
// are padded.
int64_t share_of_padding(const RankMemory& memory, const Model& model, int ranks) {
  struct Elements {
    int64_t all = 0, padding = 0;
    double share() const { return all ? static_cast<double>(padding) / static_cast<double>(all) : 0; }
  } whole, trained;
  for (const auto& group : model.groups()) {
    const GroupLayout layout(group, ranks);
    for (auto* elements : {&whole, &trained}) {
      if (elements == &trained && !group.trainable) continue;
      elements->all += layout.padded_count();
      elements->padding += layout.padding();
    }
  }
  const auto bytes_of = [&](Category category) { return static_cast<double>(memory.categories[static_cast<int>(category)].predicted); };
  return std::llround(bytes_of(Category::parameters) * whole.share() +
                      (bytes_of(Category::gradients) + bytes_of(Category::optimizer)) * trained.share());
}

int64_t more_for_export(const RankMemory& memory) { return memory.process_peak_with_export - memory.process_peak.predicted; }

}  // namespace

int64_t evaluations_of(const Settings& settings, int64_t validation_windows) {
  if (validation_windows == 0) return 0;
  const auto& training = settings.training;
  if (training.eval_interval == 0) return 1;
  const bool extra_at_end = training.steps % training.eval_interval != 0;
  return training.steps / training.eval_interval + extra_at_end;
}

RunShape planned_shape(const Settings& settings, int ranks, int hosts, Side device) {
  RunShape shape{.ranks = ranks, .hosts = hosts, .device = device};
  shape.threads = threads_of(settings, shape.ranks_of_host());
  if (device == Side::gpu) {
    shape.readers = ranks > 1 ? Readers::gpus : Readers::owner;
  } else {
    shape.readers = hosts == 1 && settings.comm.pretend_hosts == 1 ? Readers::all : Readers::host;
  }
  return shape;
}

void plan_on(const KnownDevice& gpu, RunShape& shape, Baseline& baseline) {
  shape.gpu.multiprocessors = gpu.multiprocessors;
  shape.gpu.slab_bytes = gpu.slab_bytes;
  baseline.gpu = gpu.baseline;
  if (shape.ranks == 1) baseline.gpu->nccl = 0;
  baseline.process += gpu.process;
}

bool plans_for_gpus(const Settings& settings, const std::optional<Rates>& rates) {
  return settings.run.device == Settings::Device::cuda || (settings.run.device == Settings::Device::automatic && rates && rates->gpu);
}

int64_t planned_validation_windows(const Settings& settings) {
  return std::holds_alternative<std::monostate>(settings.data.validation) ? 0 : open_data(settings).validation_windows();
}

Prediction predict(const Settings& settings, const Model& model, const RunShape& shape, int64_t validation_windows, MemoryTimeline* timeline) {
  const auto& training = settings.training;
  const int ranks = shape.ranks;
  DryRunOptions options;
  options.timeline = timeline;
  options.ranks = ranks;
  options.threads = shape.threads;
  options.readers = shape.readers;
  options.device = shape.device;
  options.gpu = shape.gpu;
  options.gpu.deterministic = settings.run.determinism == Settings::Determinism::strict;
  options.engine = engine_options(settings, ranks);
  options.workload = {.micro_batch_size = training.micro_batch_size,
                      .seq_len = training.seq_len,
                      .steps = training.steps,
                      .evaluations = evaluations_of(settings, validation_windows),
                      .batches_per_evaluation = evaluation_batches(validation_windows, training.micro_batch_size * ranks, training.eval_batches),
                      .reads_parameters = settings.metrics.export_hf};
  auto prediction = dry_run(model, *make_optimizer(settings.optimizer), options);
  // After every step the ranks tell each other whether one of them was asked to stop.
  prediction.traffic.control += Traffic::Line{1, (ranks - 1) * static_cast<int64_t>(sizeof(int)), 0} * training.steps;
  return prediction;
}

std::vector<RankMemory> predicted_memory(const Prediction& prediction, const Model& model, const std::vector<Baseline>& baselines) {
  std::vector<RankMemory> all;
  for (const auto& baseline : baselines) {
    RankMemory memory;
    memory.rank = static_cast<int>(all.size());
    for (int c = 0; c < kCategoryCount; ++c) memory.categories[c].predicted = prediction.memory.peak[c];
    memory.padding.predicted = share_of_padding(memory, model, prediction.ranks);
    memory.total.predicted = prediction.memory.total_peak;
    memory.arena.predicted = prediction.memory.arena_overhead;
    memory.process_baseline = baseline.process;
    const int64_t libraries = baseline.process + kLibraryFirstUse, resident = memory.total.predicted + memory.arena.predicted;
    if (baseline.gpu) {
      memory.process_peak.predicted = libraries + prediction.memory.peak_of(Category::host);
      memory.process_peak_with_export = libraries + prediction.host_to_the_end;
      memory.gpu.emplace();
      memory.gpu->baseline = *baseline.gpu;
      memory.gpu->reserved.predicted = prediction.memory.gpu_reserved;
      memory.gpu->used.predicted = baseline.gpu->total() + baseline.gpu->ranks * memory.gpu->reserved.predicted;
      memory.gpu_reserved_with_export = prediction.gpu_reserved_to_the_end;
    } else {
      memory.process_peak.predicted = libraries + prediction.memory.peak_of(Category::host) + resident;
      memory.process_peak_with_export = libraries + prediction.memory.peak_of(Category::host) + prediction.peak_to_the_end;
    }
    all.push_back(memory);
  }
  return all;
}

PredictPeak peak_of(std::function<Prediction(const Settings&)> predict_with, const Model& model, const RankMemory& memory) {
  Baseline baseline{memory.process_baseline, {}};
  if (memory.gpu) baseline.gpu = memory.gpu->baseline;
  return [predict_with, &model, baseline](const Settings& settings) { return peak_that_must_fit(predicted_memory(predict_with(settings), model, {baseline}).front()); };
}

// Ranks that share memory send in the time of who computes.
Computation computation_of(const Settings& settings, const EngineOptions& options, const RunShape& shape) {
  const bool tf32 = settings.precision.tf32 && shape.device == Side::gpu && settings.precision.param_dtype == Settings::ParamDtype::fp32;
  return {.dtype = tf32 ? "tf32" : name_of(settings.precision.param_dtype),
          .optimizer_states = make_optimizer(settings.optimizer)->state_count(),
          .overlaps = options.offload.overlaps(),
          .gathers_ahead = (options.prefetch > 0 || !options.sharding.parameters) && shape.readers != Readers::all,
          .device = shape.device,
          .threads = shape.threads,
          .at = {shape.ranks, shape.hosts}};
}

std::optional<StepTime> predicted_time(const Settings& settings, const Prediction& prediction, const RunShape& shape, const std::optional<Rates>& rates) {
  if (!rates || (shape.device == Side::gpu) != rates->of_gpu()) return std::nullopt;  // those of a processor say nothing of a GPU
  return step_time(prediction.step, *rates, computation_of(settings, engine_options(settings, prediction.ranks), shape));
}

Communication predicted_communication(const Prediction& prediction) {
  const auto line = [](const Traffic::Line& traffic) { return CollectiveTraffic{traffic.calls, 0, traffic.bytes_sent, 0}; };
  const auto& traffic = prediction.traffic;
  return {line(traffic.all_gather), line(traffic.reduce_scatter), line(traffic.all_reduce), line(traffic.control)};
}

std::string export_note(const RankMemory& memory) {
  if (more_for_export(memory) <= 0) return "";
  return fmt::format("note: after the last step, writing the weights (metrics.export_hf) takes {} per rank, {} more than the steps\n",
                     readable_bytes(memory.process_peak_with_export), readable_bytes(more_for_export(memory)));
}

namespace {

// Ours, or of CUDA and its libraries, which take what they need beside our allocators, and say so through LibTorch.
bool is_lack_of_memory(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) return ours->kind() == ErrorKind::out_of_memory;
  const std::string_view text = error.what();
  return text.find("out of memory") != text.npos || text.find("ALLOC_FAILED") != text.npos;
}

}  // namespace

int64_t peak_that_must_fit(const RankMemory& memory) { return memory.gpu ? memory.gpu_reserved_with_export : memory.process_peak_with_export; }

std::string lack_of_memory(const RankMemory& memory, int processes) {
  if (memory.gpu) {
    const int64_t needed = memory.gpu->reserved.predicted, free = gpu::memory().free / memory.gpu->baseline.ranks;
    if (needed > free) return fmt::format("needs {} of the GPU, of which {} are free", readable_bytes(needed), readable_bytes(free));
  }
  const auto found = memory_shortage(memory.process_peak.predicted - memory.process_baseline, processes);
  if (!found) return "";
  return fmt::format("needs {} {}, {} has {}", readable_bytes(found->needed), found->of_one_process ? "more" : "on this host",
                     found->at_hand.source, readable_bytes(found->at_hand.bytes));
}

void refuse_if_over_limit(const Settings& settings, const RankMemory& memory, const PredictPeak& predict_peak) {
  const int64_t peak = peak_that_must_fit(memory);
  if (!settings.memory.fail_if_predicted_over || !settings.memory.limit || peak <= *settings.memory.limit) return;
  fail(ErrorKind::out_of_memory, "this run needs {} per rank, {} more than memory.limit {} ({}): {}", readable_bytes(peak),
       readable_bytes(peak - *settings.memory.limit), readable_bytes(*settings.memory.limit), largest_categories(memory),
       ways_to_fit(settings, peak, *settings.memory.limit, predict_peak, memory.gpu ? Side::gpu : Side::host));
}

void explain_lack(const std::exception& error, int rank, std::string_view activity, const Settings& settings, const RankMemory& memory, const PredictPeak& predict_peak) {
  const std::string_view text = error.what();
  if (!is_lack_of_memory(error)) return;
  const auto ways = ways_to_save(settings, peak_that_must_fit(memory), predict_peak, memory.gpu ? Side::gpu : Side::host);
  fail(ErrorKind::out_of_memory, "rank {}, {}: {}{}", rank, activity, text.substr(0, text.find('\n')), ways.empty() ? "" : "; of what the run takes, " + ways);
}

void refuse_if_over_gpu(const Settings& settings, const RankMemory& memory, const gpu::Memory& gpu, const PredictPeak& predict_peak) {
  const int64_t ranks = memory.gpu->baseline.ranks, needed = memory.gpu_reserved_with_export, free = gpu.free / ranks;
  if (needed <= free) return;
  fail(ErrorKind::out_of_memory, "this run needs {} of the GPU{}, {} more than is free ({} of {}): {}; {}", readable_bytes(needed),
       ranks == 1 ? "" : fmt::format(" for each of {} ranks", ranks), readable_bytes(ranks * needed - gpu.free), readable_bytes(gpu.free), readable_bytes(gpu.total),
       largest_categories(memory), ways_to_fit(settings, needed, free, predict_peak, Side::gpu));
}

void refuse_if_over(const Settings& settings, const RankMemory& memory, int local_ranks, const PredictPeak& predict_peak) {
  refuse_if_over_limit(settings, memory, predict_peak);
  if (!settings.memory.fail_if_predicted_over) return;
  if (memory.gpu) refuse_if_over_gpu(settings, memory, gpu::memory(), predict_peak);
  const int64_t peak = memory.process_peak_with_export;
  const auto shortage = memory_shortage(peak - memory.process_baseline, local_ranks);
  if (!shortage) return;
  const auto& [there, source] = shortage->at_hand;
  if (memory.gpu) {
    fail(ErrorKind::out_of_memory, "this run needs {} of host memory beside its GPU{}, {} more than there is ({}: {})", readable_bytes(shortage->needed),
         local_ranks == 1 ? "" : "s", readable_bytes(shortage->needed - there), source, readable_bytes(there));
  }
  const int64_t over = (shortage->needed - there) / (shortage->of_one_process ? 1 : local_ranks) + 1;
  fail(ErrorKind::out_of_memory, "this run needs {} {}, {} more than there is ({}: {}): {}; {}", readable_bytes(shortage->needed),
       shortage->of_one_process ? "more per rank" : fmt::format("on this host for {} rank{}", local_ranks, local_ranks == 1 ? "" : "s"),
       readable_bytes(shortage->needed - there), source, readable_bytes(there), largest_categories(memory),
       ways_to_fit(settings, peak, peak - over, predict_peak));
}

}  // namespace zerorun
