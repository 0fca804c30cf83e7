#include "launcher/advice.h"

#include <fmt/ranges.h>

#include <vector>

#include "core/error.h"
#include "launcher/report.h"

namespace zerorun {
namespace {

struct Change {
  std::string name;
  std::function<bool(Settings&)> make;  // false: it is so already
};

template <typename Value>
bool set(Value& value, const Value& to) {
  const bool changes = value != to;
  value = to;
  return changes;
}

bool offload_activations(Settings::ActivationCheckpoint& checkpoint) {
  if (checkpoint.offload == Settings::OffloadDevice::nvme) return false;
  checkpoint = {Settings::Checkpointing::full, Settings::OffloadDevice::nvme, ""};
  return true;
}

bool offload(auto& place) {
  if (place.device == Settings::OffloadDevice::nvme) return false;
  place.device = Settings::OffloadDevice::nvme;
  place.path = "";
  return true;
}

// What costs least first.
std::vector<Change> changes() {
  return {
      {"metrics.export_hf: false", [](Settings& s) { return set(s.metrics.export_hf, false); }},
      {"training.micro_batch_size: 1", [](Settings& s) { return set<int64_t>(s.training.micro_batch_size, 1); }},
      {"activation_checkpoint.mode: full", [](Settings& s) { return set(s.activation_checkpoint.mode, Settings::Checkpointing::full); }},
      {"zero_optimization.stage: 3", [](Settings& s) { return set<int64_t>(s.zero_optimization.stage, 3); }},
      {"zero_optimization.offload_optimizer: {device: nvme, path: FOLDER}", [](Settings& s) { return offload(s.zero_optimization.offload_optimizer); }},
      {"zero_optimization.offload_param: {device: nvme, path: FOLDER}", [](Settings& s) { return offload(s.zero_optimization.offload_param); }},
      {"activation_checkpoint: {mode: full, offload: nvme, path: FOLDER}", [](Settings& s) { return offload_activations(s.activation_checkpoint); }},
  };
}

}  // namespace

std::string ways_to_fit(const Settings& settings, int64_t peak, int64_t limit, const PredictPeak& predict_peak) {
  Settings changed = settings;
  std::vector<std::string> steps;
  for (const auto& change : changes()) {
    Settings next = changed;
    if (peak <= limit || !change.make(next)) continue;
    int64_t with_it = peak;
    try {
      with_it = predict_peak(next);
    } catch (const Error&) {
      continue;  // not with this model, or this number of ranks
    }
    if (with_it > peak - peak / 100) continue;
    changed = next;
    peak = with_it;
    steps.push_back(fmt::format("with {}{} {}{}", change.name, steps.empty() ? " it takes" : " too", readable_bytes(peak), peak <= limit ? ", which fits" : ""));
  }
  if (peak > limit) steps.push_back(steps.empty() ? "more ranks or a smaller model would help" : "more ranks or a smaller model would help further");
  return fmt::format("{}", fmt::join(steps, ", "));
}

}  // namespace zerorun
