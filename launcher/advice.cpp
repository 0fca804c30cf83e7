#include "launcher/advice.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>
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

bool offload_activations(Settings::ActivationCheckpoint& checkpoint, Settings::OffloadDevice to) {
  if (checkpoint.offload == to || checkpoint.offload == Settings::OffloadDevice::nvme) return false;
  checkpoint = {Settings::Checkpointing::full, to, ""};
  return true;
}

bool offload(auto& place, Settings::OffloadDevice to) {
  if (place.device == to || place.device == Settings::OffloadDevice::nvme) return false;
  place.device = to;
  place.path = "";
  return true;
}

// What costs least first.
std::vector<Change> changes(Side device) {
  const auto to = device == Side::gpu ? Settings::OffloadDevice::cpu : Settings::OffloadDevice::nvme;
  const std::string where = device == Side::gpu ? "device: cpu" : "device: nvme, path: FOLDER";
  return {
      {"metrics.export_hf: false", [](Settings& s) { return set(s.metrics.export_hf, false); }},
      {"training.micro_batch_size: 1", [](Settings& s) { return set<int64_t>(s.training.micro_batch_size, 1); }},
      {"activation_checkpoint.mode: full", [](Settings& s) { return set(s.activation_checkpoint.mode, Settings::Checkpointing::full); }},
      {"zero_optimization.stage: 3", [](Settings& s) { return set<int64_t>(s.zero_optimization.stage, 3); }},
      {"zero_optimization.offload_optimizer: {" + where + "}", [to](Settings& s) { return offload(s.zero_optimization.offload_optimizer, to); }},
      {"zero_optimization.offload_param: {" + where + "}", [to](Settings& s) { return offload(s.zero_optimization.offload_param, to); }},
      {"activation_checkpoint: {mode: full, offload: " + where.substr(where.find(' ') + 1) + "}",
       [to](Settings& s) { return offload_activations(s.activation_checkpoint, to); }},
  };
}

}  // namespace

std::string ways_to_save(const Settings& settings, int64_t peak, const PredictPeak& predict_peak, Side device) {
  std::vector<std::pair<int64_t, std::string>> found;
  for (const auto& change : changes(device)) {
    Settings changed = settings;
    if (!change.make(changed)) continue;
    try {
      const int64_t saved = peak - predict_peak(changed);
      if (saved > 0) found.emplace_back(saved, fmt::format("{} saves {}", change.name, readable_bytes(saved)));
    } catch (const Error&) {  // not with this model, or this number of ranks
    }
  }
  std::ranges::stable_sort(found, [](const auto& a, const auto& b) { return a.first > b.first; });
  found.resize(std::min<size_t>(found.size(), 3));
  std::vector<std::string> words;
  for (auto& [saved, text] : found) words.push_back(std::move(text));
  return fmt::format("{}", fmt::join(words, ", "));
}

std::string ways_to_fit(const Settings& settings, int64_t peak, int64_t limit, const PredictPeak& predict_peak, Side device) {
  Settings changed = settings;
  std::vector<std::string> steps;
  for (const auto& change : changes(device)) {
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
