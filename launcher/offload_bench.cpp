#include "launcher/offload_bench.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <ostream>

#include "core/error.h"
#include "core/host_name.h"
#include "core/threads.h"
#include "launcher/agreement.h"
#include "launcher/build.h"
#include "launcher/device.h"
#include "launcher/gpu_rates.h"
#include "launcher/latency.h"
#include "launcher/machine.h"
#include "launcher/prediction.h"
#include "launcher/pretrained.h"
#include "launcher/ranks.h"

namespace zerorun {
namespace {

using Clock = std::chrono::steady_clock;
using Moves = OffloadRow::Mode;
using Place = Settings::OffloadDevice;

constexpr int64_t kBytesOfRates = int64_t{512} << 20;

bool lets_something_sleep(const Settings& settings) {
  const auto& zero = settings.zero_optimization;
  return zero.offload_param.device != Place::none || zero.offload_optimizer.device != Place::none || settings.activation_checkpoint.offload != Place::none;
}

// What the file says, made fit for any row.
Settings base_of(Settings settings, int64_t steps) {
  auto& zero = settings.zero_optimization;
  if (!lets_something_sleep(settings)) {
    zero.stage = 3;
    zero.offload_param.device = zero.offload_optimizer.device = Place::cpu;
  }
  settings.metrics.export_hf = false;
  settings.training.steps = steps + 1;
  return settings;
}

Settings settings_of(Settings settings, Moves mode) {
  auto& zero = settings.zero_optimization;
  zero.offload_param.overlap = zero.offload_optimizer.overlap = mode == Moves::overlapped;
  if (mode == Moves::none) zero.offload_param.device = zero.offload_optimizer.device = settings.activation_checkpoint.offload = Place::none;
  return settings;
}

// The first folder that something sleeps in.
std::optional<std::string> disk_of(const Settings& settings) {
  const auto& [param, optimizer, checkpoint] = std::tie(settings.zero_optimization.offload_param, settings.zero_optimization.offload_optimizer, settings.activation_checkpoint);
  if (param.device == Place::nvme) return param.path;
  if (optimizer.device == Place::nvme) return optimizer.path;
  if (checkpoint.offload == Place::nvme) return checkpoint.path;
  return std::nullopt;
}

Rates rates_of_this_machine(const std::optional<std::string>& disk, const RankDevice& device) {
  const auto known = read_rates(rates_path());
  const bool fits = known && (device.gpu ? known->gpu && known->gpu->name == device.gpu->name : !known->of_gpu()) && known->host == host_name() && known->threads == compute_threads() &&
                    (!disk || (known->disk && std::filesystem::absolute(*disk).lexically_normal() == *known->disk));
  if (fits) return *known;
  const auto host = measure_rates({.path = disk, .bytes = kBytesOfRates, .device = Settings::Device::cpu});
  return device.gpu ? measure_started_gpu(*device.gpu, {device.gpu_baseline.context, device.gpu_baseline.workspace}, host) : host;
}

// A row's run, on every rank.
struct Trial {
  const Settings& settings;
  const Model& model;
  const BatchSource& data;
  const RankDevice& device;
  const RunShape& shape;
  bool trains;
  int64_t steps;

  Communicator& communicator() const { return *device.communicator; }
  EngineOptions engine_options_of_ranks() const {
    auto options = engine_options(settings, shape.ranks);
    options.inference = !trains;
    options.device = device.device;
    return options;
  }
  std::unique_ptr<Optimizer> optimizer() const { return trains ? make_optimizer(settings.optimizer) : make_sgd({}); }
};

Prediction predict(const Trial& trial) {
  const auto& training = trial.settings.training;
  DryRunOptions options;
  options.ranks = trial.shape.ranks;
  options.threads = trial.shape.threads;
  options.readers = trial.shape.readers;
  options.device = trial.shape.device;
  options.gpu = trial.shape.gpu;
  options.engine = trial.engine_options_of_ranks();
  options.workload = {.micro_batch_size = training.micro_batch_size, .seq_len = training.seq_len, .steps = trial.trains ? training.steps : 0,
                      .evaluations = trial.trains ? 0 : 1, .batches_per_evaluation = 1};
  return dry_run(trial.model, *trial.optimizer(), options);
}

struct Measured {
  MemoryUsage usage;
  int64_t process_peak, gpu_in_use;
  double seconds;
  ByResource busy;
};

ByResource busy_of(const Trace& trace) {
  ByResource busy;
  const auto in_lane = [&](const std::string& wanted) {
    return trace.seconds_of([&](const std::string& lane, const std::string&) { return lane == wanted; });
  };
  const auto in_lanes_of = [&](const char* what) {
    return trace.seconds_of([&](const std::string& lane, const std::string&) { return lane.ends_with(what); });
  };
  const auto computes = [](const std::string& lane, const std::string& name) { return lane == "compute" && name != "update"; };
  const auto updates = [](const std::string& lane, const std::string& name) { return lane == "update" || (lane == "compute" && name == "update"); };
  busy[Resource::compute] = trace.seconds_of(computes);
  busy[Resource::to_device] = in_lane("up");
  busy[Resource::to_host] = in_lane("down");
  busy[Resource::disk_read] = in_lanes_of(" reads");
  busy[Resource::disk_write] = in_lanes_of(" writes");
  busy[Resource::update] = trace.seconds_of(updates);
  return busy;
}

// The first step is not timed. Of the updates beside the computation as many are in the timed steps as there are of those.
Measured measure(const Trial& trial) {
  const auto& training = trial.settings.training;
  const auto optimizer = trial.optimizer();
  auto options = trial.engine_options_of_ranks();
  Trace trace;
  const bool traces = !trial.device.gpu;  // what a host sees of a GPU is the launching
  if (traces) options.trace = &trace;
  MemoryLedger ledger(trial.device.side());
  Engine engine(trial.model, trial.communicator(), *optimizer, ledger, options);
  engine.reserve(training.micro_batch_size, training.seq_len);
  std::vector<double> seconds;
  for (int64_t step = 0; step <= trial.steps; ++step) {
    if (step == 1) trace.start();
    const auto start = Clock::now();
    const MemoryScope scope(ledger, Category::activations);
    const auto batches = micro_batches(trial.data, step, trial.trains ? options.micro_batches : 1, training.micro_batch_size, trial.communicator().rank(), trial.communicator().size());
    trial.device.last_words->keep([&] {
      if (trial.trains) {
        engine.train_step(batches, trial.settings.optimizer.lr);
      } else {
        engine.evaluate(batches.front());
      }
    });
    if (step > 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  trace.stop();
  engine.flush();
  auto busy = busy_of(trace);
  for (const auto resource : kResources) busy[resource] /= static_cast<double>(trial.steps);
  gather(trial.communicator(), 0);  // who shares the GPU has taken all
  const int64_t in_use = traces ? 0 : gpu::bytes_in_use();
  gather(trial.communicator(), 0);  // and has it still
  return {ledger.usage(), process_anonymous_bytes() + shared_bytes(), in_use, percentile(seconds, 0.5), busy};
}

OffloadRow run_row(const Trial& trial, Moves mode, const OffloadBench& bench, int local_ranks) {
  OffloadRow row{.trains = trial.trains, .mode = mode, .memory = {}, .amounts = {}, .busy = {}, .predicted = {}, .not_run = ""};
  const auto prediction = predict(trial);
  row.memory = predicted_memory(prediction, trial.model, {trial.device.baseline()}).front();
  row.amounts = sum_of(amounts_of(prediction.step, {}));
  row.amounts[Resource::memory] = 0;  // in the time of the products
  row.predicted = step_time(prediction.step, bench.rates, computation_of(trial.settings, trial.engine_options_of_ranks(), trial.shape));
  row.not_run = lack_of_memory(row.memory, local_ranks);
  const auto lacking = gather(trial.communicator(), row.not_run.empty() ? 0 : 1);
  if (std::ranges::find(lacking, 1) != lacking.end()) {
    if (row.not_run.empty()) row.not_run = "another host has too little memory";
    return row;
  }
  const auto all = gather(trial.communicator(), measure(trial));
  const auto worst = std::ranges::max_element(all, {}, [](const Measured& rank) { return rank.usage.total_peak; });
  row.memory.rank = static_cast<int>(worst - all.begin());
  fill_measured(row.memory, worst->usage, unscoped_usage(), worst->process_peak, worst->gpu_in_use);
  row.seconds = worst->seconds;
  row.busy = worst->busy;
  return row;
}

}  // namespace

const char* name_of(Moves mode) {
  constexpr std::array kNames{"none", "blocked", "overlapped"};
  return kNames[static_cast<size_t>(mode)];
}

void run_offload_bench(const OffloadBenchOptions& options, Settings settings, MpiSession& session, std::ostream& out) {
  settings = base_of(std::move(settings), options.steps);
  check_backend(settings);
  const auto ranks = connect_ranks(session, settings);
  agree(*ranks, settings);
  const auto device = start_device(settings, session, ranks);
  set_compute_threads(device.threads);
  const Model model = make_model(settings);
  const CorpusBatches data = open_data(settings);
  const auto shape = shape_of(session, device);
  OffloadBench bench{.settings = settings, .parameters = model.parameter_count(), .ranks = session.size(), .threads = device.threads, .device = device.name(), .steps = options.steps,
                     .computation = computation_of(settings, engine_options(settings, session.size()), shape), .rates = {}, .rows = {}};
  if (session.rank() == 0) bench.rates = rates_of_this_machine(disk_of(settings), device);
  gather(*ranks, 0);  // the others wait: what they did would be in the rates
  for (const bool trains : {true, false}) {
    for (const auto mode : {Moves::none, Moves::blocked, Moves::overlapped}) {
      const auto settings_of_row = settings_of(settings, mode);
      bench.rows.push_back(run_row({settings_of_row, model, data, device, shape, trains, options.steps}, mode, bench, session.local_size()));
    }
  }
  if (session.rank() == 0) out << (options.json ? offload_bench_json(bench) : offload_bench_table(bench));
}

}  // namespace zerorun
