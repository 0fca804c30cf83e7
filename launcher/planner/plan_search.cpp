#include "launcher/planner/plan_search.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <ostream>

#include "core/error.h"
#include "launcher/build.h"
#include "launcher/file_system.h"
#include "launcher/known_devices.h"
#include "launcher/machine.h"
#include "launcher/planner/search.h"
#include "launcher/planner/search_report.h"
#include "launcher/prediction.h"
#include "launcher/pretrained.h"

namespace zerorun {
namespace {

// What MPI takes of a rank before the model is there, beyond what this process has, and what mpirun takes itself.
constexpr int64_t kMpi = int64_t{4} << 20, kLauncher = int64_t{6} << 20;

constexpr int kMostThreads = 8;  // that search; each may have a team of its rank's size

// On a terminal, on one line that goes when the search ends, or fails.
class SearchProgress {
 public:
  ~SearchProgress() { erase(); }
  void show(size_t done, size_t all) const {
    if (shows_) std::fprintf(stderr, "\rsearching: %zu of %zu ways", done, all);
  }
  void erase() const {
    if (shows_) std::fputs("\r\033[K", stderr);
  }

 private:
  const bool shows_ = isatty(STDERR_FILENO) != 0;
};

// The machines: how fast they are, what they have, and what of it is taken before the model is there.
struct Machines {
  std::string words;
  RunShape shape;
  Rates rates;
  SpaceLimits limits;
  Baseline baseline;
};

// A plan needs the rates of all that it may use.
void check_rates(const CommandLine& line, const Settings& settings, const std::string& path, const Rates& rates) {
  if (line.search->disk && !(rates.disk_read && rates.disk_write)) {
    fail(ErrorKind::configuration, "--disk: {} says nothing of a disk; measure the one to plan with by zerorun bench rates --path FOLDER", path);
  }
  if (line.hosts > 1 && !rates.network) {
    fail(ErrorKind::configuration, "--hosts {}: {} says nothing of what goes between hosts; write bytes_per_second.network into it, the bytes a second of a host, or name a --device", line.hosts,
         path);
  }
  const std::string dtype = name_of(settings.precision.param_dtype);
  if (!rates.multiply.contains(dtype)) fail(ErrorKind::configuration, "{} says nothing of products in {}; measure it by zerorun bench rates", path, dtype);
}

void use_device(const KnownDevice& device, Machines& machines) {
  machines.words = fmt::format("{} ({})", device.name, device.source);
  machines.rates = device.rates;
  plan_on(device, machines.shape, machines.baseline);
  if (!machines.limits.device) machines.limits.device = device.memory;
}

// Of `path`, which --rates names, or which is this machine's.
Rates known_rates(const SearchOptions& options, const std::string& path) {
  const auto rates = read_rates(path);
  if (rates) return *rates;
  if (options.rates) fail(ErrorKind::missing_input, "--rates {}: no such file; zerorun bench rates writes one", path);
  fail(ErrorKind::configuration,
       "plans are ordered by the time of a step, and nothing is known of this machine's rates: measure them with zerorun bench rates, or name a --device or a file of --rates");
}

void use_rates(const CommandLine& line, const Settings& settings, const std::string& path, const Rates& rates, Machines& machines) {
  const bool gpu = machines.shape.device == Side::gpu;
  if (gpu && !rates.of_gpu()) {
    fail(ErrorKind::configuration, "{} has the rates of a processor, and the plan is for GPUs: name a --device, such as h100, or a file that zerorun bench rates wrote on a machine with a GPU", path);
  }
  if (!gpu && rates.of_gpu()) {
    fail(ErrorKind::configuration, "{} has the rates of a GPU, and the plan is for processors: measure those with zerorun bench rates --device cpu, or set run.device to cuda", path);
  }
  check_rates(line, settings, path, rates);
  if (rates.gpu) {
    use_device(measured_device(rates), machines);
  } else {
    machines.words = fmt::format("rates of {}", rates.host);
    machines.rates = rates;
  }
  if (gpu && !machines.limits.device) fail(ErrorKind::configuration, "a plan for GPUs whose --device is not named needs their --device-memory");
}

Machines machines_of(const CommandLine& line, const Settings& settings) {
  const auto& options = *line.search;
  const auto device = options.device ? find_device(*options.device) : std::nullopt;
  const std::string path = options.rates.value_or(rates_path());
  const auto rates = device ? std::nullopt : std::optional(known_rates(options, path));
  const bool named = device || options.device_memory;
  if (named && settings.run.device == Settings::Device::cpu) {
    fail(ErrorKind::configuration, "run.device is cpu, but {} is of a GPU: set it to cuda, or plan with --host-memory", device ? "--device" : "--device-memory");
  }
  const bool gpu = named || plans_for_gpus(settings, rates);
  Machines machines;
  machines.shape = planned_shape(settings, line.ranks, line.hosts, gpu ? Side::gpu : Side::host);
  machines.baseline = {process_anonymous_bytes() + kMpi, {}};
  machines.limits = {options.device_memory, options.host_memory, options.disk};
  if (gpu) machines.baseline.gpu.emplace();
  if (device) use_device(*device, machines);
  if (rates) use_rates(line, settings, path, *rates, machines);
  if (!gpu && !machines.limits.host) {  // as a run would be refused: each of its ranks has a baseline before that
    const auto at_hand = memory_at_hand();
    machines.limits.host = at_hand.bytes + machines.baseline.process - kLauncher;  // this process ends before they start
    machines.words += fmt::format(", {} of this machine", at_hand.source);
  }
  return machines;
}

// Of the memory of all ranks of a host.
Space space_of(const RankMemory& memory, int local) {
  Space space{0, local * memory.process_peak_with_export, local * memory.categories[static_cast<size_t>(Category::disk)].predicted};
  if (memory.gpu) space.device = memory.gpu->baseline.total() + memory.gpu_reserved_with_export;
  return space;
}

// memory.limit is of a rank: of what a GPU reserves, else of its process.
void add_limit_of_rank(const Settings& settings, const Machines& machines, SpaceLimits& limits) {
  if (!settings.memory.limit || !settings.memory.fail_if_predicted_over) return;
  const bool gpu = machines.shape.device == Side::gpu;
  const int64_t limit = gpu ? machines.baseline.gpu->total() + *settings.memory.limit : machines.shape.ranks_of_host() * *settings.memory.limit;
  auto& least = gpu ? limits.device : limits.host;
  if (least && *least <= limit) return;
  least = limit;
  (gpu ? limits.device_by : limits.host_by) = gpu ? "memory.limit allows" : "memory.limit allows all ranks of a host";
}

constexpr std::string_view kChosen = "Chosen by zerorun plan --search: ";  // begins what it writes

// Only what a search has written is replaced.
void check_target(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || (std::getline(file, line) && line.starts_with(fmt::format("# {}", kChosen)))) return;
  fail(ErrorKind::cannot_create, "--write {}: there is a file that no search has written; name another", path);
}

void write_plan(const std::string& path, const FittingPlan& best, const std::string& words) {
  const auto files = make_file_system();
  const auto failed = replace_file(*files, path, resolved_yaml(best.way.settings, std::string(kChosen) + words));
  if (failed.error) fail(ErrorKind::cannot_create, "--write {}: {}", path, std::generic_category().message(failed.error));
}

}  // namespace

void plan_search(const CommandLine& line, std::ostream& out) {
  Settings settings = read_settings(line.config, line.overrides);
  settle_model(settings);
  Settings smallest = settings;
  smallest.training.micro_batch_size = 1;
  micro_batches_of(smallest, line.ranks);
  if (line.search->write) check_target(*line.search->write);
  auto machines = machines_of(line, settings);
  add_limit_of_rank(settings, machines, machines.limits);
  const bool gpu = machines.shape.device == Side::gpu;
  if (gpu) settings.run.device = Settings::Device::cuda;
  const Model model = make_model(settings);
  const int64_t windows = planned_validation_windows(settings);

  const auto ways = ways_of(settings, {.may_use_host = gpu, .disk = machines.limits.disk ? std::optional<std::string>(".") : std::nullopt, .several_ranks = line.ranks > 1});
  const auto foretell = [&](const Settings& with) {
    const auto prediction = predict(with, model, machines.shape, windows);
    const auto time = step_time(prediction.step, machines.rates, computation_of(with, engine_options(with, line.ranks), machines.shape));
    ZR_CHECK(time.has_value(), "rates that a plan needs are missing, after they were there");
    return Foretold{space_of(predicted_memory(prediction, model, {machines.baseline}).front(), machines.shape.ranks_of_host()), *time};
  };
  const SearchProgress progress;
  const auto result = search(ways, line.ranks, machines.limits, foretell, std::min(usable_cores(), kMostThreads), [&](size_t done, size_t all) { progress.show(done, all); });
  progress.erase();
  const Searched searched{machines.words, model.parameter_count(), line.ranks, line.hosts, settings.training.global_batch_size * settings.training.seq_len, machines.limits};
  out << (line.json ? search_json(result, searched) + "\n" : search_table(result, searched));
  if (result.plans.empty()) fail(ErrorKind::out_of_memory, "{}", why_nothing_fits(result));
  if (!line.search->write) return;
  write_plan(*line.search->write, result.plans.front(), winner_in_words(result, searched));
  if (!line.json) out << "written to " << *line.search->write << '\n';
}

}  // namespace zerorun
