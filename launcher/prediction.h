// What a run will take, before a byte of it is allocated, and the refusal of a run that cannot fit.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/model.h"
#include "launcher/advice.h"
#include "launcher/known_devices.h"
#include "launcher/rates.h"
#include "launcher/report.h"
#include "launcher/settings.h"
#include "zero/dry_run.h"

namespace zerorun {

// Anonymous memory that LibTorch takes at first use beside tensors: packing buffers of its matrix products, worker
// threads, autograd. The baseline is taken after the dry run, which has loaded most of it. The middle of what
// tests/bench/process_peak.py saw, 0 to 15 MiB over fourteen settings on AVX-512 and AVX2; never what this run measures.
inline constexpr int64_t kLibraryFirstUse = int64_t{8} << 20;

// Of one rank; every rank's is the same, since slices and batches are equal. `readers`: as the communicator says.
// `validation_windows` is 0 without a split.
struct RunShape {
  int ranks = 1, threads = 1, hosts = 1;
  int ranks_of_host() const { return RanksAt{ranks, hosts}.of_host(); }
  Readers readers = Readers::owner;
  Side device = Side::host;
  gpu::Shape gpu = {};
};
// What there is of a rank before the model.
struct Baseline {
  int64_t process = 0;  // anonymous memory
  std::optional<GpuBaseline> gpu;
};
// Of a run that is not under way: on processors or GPUs, its communicator what it would be there.
RunShape planned_shape(const Settings& settings, int ranks, int hosts, Side device);
// The run is on such GPUs, of which libraries take their part.
void plan_on(const KnownDevice& gpu, RunShape& shape, Baseline& baseline);
// Whether a plan is for GPUs: where the settings leave it open, as the rates at hand are.
bool plans_for_gpus(const Settings& settings, const std::optional<Rates>& rates);
// Of its validation split, which is opened where there is one.
int64_t planned_validation_windows(const Settings& settings);
// `timeline`, where there is one, becomes that of a step.
Prediction predict(const Settings& settings, const Model& model, const RunShape& shape, int64_t validation_windows, MemoryTimeline* timeline = nullptr);

// Validation passes of the run.
int64_t evaluations_of(const Settings& settings, int64_t validation_windows);

// The predicted half of the report. `baselines`: of every rank.
std::vector<RankMemory> predicted_memory(const Prediction& prediction, const Model& model, const std::vector<Baseline>& baselines);
// What counts where a run has to fit, the export included: reserved on its GPU, else the process's peak.
int64_t peak_that_must_fit(const RankMemory& memory);
// For advice to the rank of `memory`: what its process takes, the export included, where predict_with(settings) is the prediction.
PredictPeak peak_of(std::function<Prediction(const Settings&)> predict_with, const Model& model, const RankMemory& memory);
Computation computation_of(const Settings& settings, const EngineOptions& options, const RunShape& shape = {.threads = 0});
// From the rates that `zerorun bench rates` left (rates_path()); none without them, or where the disk was not measured that the step needs. Throws as read_rates.
std::optional<StepTime> predicted_time(const Settings& settings, const Prediction& prediction, const RunShape& shape, const std::optional<Rates>& rates);
Communication predicted_communication(const Prediction& prediction);

// Where the export at the end takes more than the steps do: a line that says so, ended. Else "".
std::string export_note(const RankMemory& memory);

// Why `processes` of this host, each on its GPU where `memory` has one, do not fit there now; empty where they do.
std::string lack_of_memory(const RankMemory& memory, int processes);

// Throws Error(out_of_memory) where the predicted peak of a process, the export included, exceeds memory.limit, or what
// `local_ranks` of them add to this host exceeds what it has; the message names the shortage, the largest categories and what would help.
void refuse_if_over_limit(const Settings& settings, const RankMemory& memory, const PredictPeak& predict_peak);  // memory.limit only: for a plan
void refuse_if_over(const Settings& settings, const RankMemory& memory, int local_ranks, const PredictPeak& predict_peak);
void refuse_if_over_gpu(const Settings& settings, const RankMemory& memory, const gpu::Memory& gpu, const PredictPeak& predict_peak);  // a part of it
// Where memory has run out all the same: throws the error again, with the rank, what it did, and the settings that would save most. Nothing for other errors.
void explain_lack(const std::exception& error, int rank, std::string_view activity, const Settings& settings, const RankMemory& memory, const PredictPeak& predict_peak);

}  // namespace zerorun
