#include "launcher/step_time.h"

#include <algorithm>

#include "zero/step_work.h"

namespace zerorun {
namespace {

ByResource amounts_of(const PhaseWork& phase) {
  ByResource amounts;
  amounts[Resource::compute] = static_cast<double>(phase.flops);
  amounts[Resource::to_device] = static_cast<double>(phase.moves.up);
  amounts[Resource::to_host] = static_cast<double>(phase.moves.down);
  amounts[Resource::disk_read] = static_cast<double>(phase.moves.disk_read);
  amounts[Resource::disk_write] = static_cast<double>(phase.moves.disk_written);
  amounts[Resource::update] = static_cast<double>(phase.updated);
  return amounts;
}

double largest(const ByResource& seconds) { return *std::ranges::max_element(seconds.values); }

// As many bytes as are moved both ways go at the rate of both, the rest of the longer side at its own.
void share_disk(ByResource& seconds, const ByResource& amounts, const Rates& rates) {
  const double read = amounts[Resource::disk_read], written = amounts[Resource::disk_write], both = std::min(read, written);
  const auto longer = read > written ? Resource::disk_read : Resource::disk_write;
  const double rate = read > written ? *rates.disk_read : *rates.disk_write;
  if (both > 0) seconds[longer] = std::max(seconds[longer], 2 * both / *rates.disk_both + (amounts[longer] - both) / rate);
}

}  // namespace

const char* name_of(Resource resource) {
  constexpr std::array kNames{"matrix products", "to the device", "to the host", "disk, read", "disk, written", "updates"};
  return kNames[static_cast<size_t>(resource)];
}

const char* key_of(Resource resource) {
  constexpr std::array kKeys{"compute", "to_device", "to_host", "disk_read", "disk_write", "update"};
  return kKeys[static_cast<size_t>(resource)];
}

ByPhase amounts_of(const StepWork& work) {
  ByPhase amounts{amounts_of(work.forward), amounts_of(work.backward), {}};
  amounts.back()[Resource::update] = static_cast<double>(work.updated);
  return amounts;
}

ByResource sum_of(const ByPhase& phases) {
  ByResource sum;
  for (const auto& phase : phases) {
    for (const auto resource : kResources) sum[resource] += phase[resource];
  }
  return sum;
}

std::optional<double> rate_of(Resource resource, const Rates& rates, const Computation& computation) {
  const auto bytes_of_update = [](int states) { return 12.0 + 8.0 * states; };  // parameter and states read and written, gradient read
  switch (resource) {
    case Resource::compute:
      return rates.multiply.contains(computation.dtype) ? std::optional(rates.multiply.at(computation.dtype)) : std::nullopt;
    case Resource::to_device: return rates.host_to_device;
    case Resource::to_host: return rates.device_to_host;
    case Resource::disk_read: return rates.disk_read;
    case Resource::disk_write: return rates.disk_write;
    case Resource::update: return rates.adamw * bytes_of_update(2) / bytes_of_update(computation.optimizer_states);
  }
  return std::nullopt;
}

Resource largest_of(const ByResource& seconds) {
  return kResources[static_cast<size_t>(std::ranges::max_element(seconds.values) - seconds.values.begin())];
}

double StepTime::of_phase(size_t phase) const {
  const auto& parts = seconds[phase];
  if (overlaps) return largest(parts);
  const double moves = parts[Resource::to_device] + parts[Resource::to_host] + parts[Resource::update];
  return parts[Resource::compute] + std::max({moves, parts[Resource::disk_read], parts[Resource::disk_write]});
}

double StepTime::total() const {
  double total = 0;
  for (size_t phase = 0; phase < kPhaseCount; ++phase) total += of_phase(phase);
  return total;
}

Resource StepTime::bounded_by() const {
  if (!overlaps) return largest_of(sum_of(seconds));
  return largest_of(*std::ranges::max_element(seconds, {}, largest));
}

std::optional<StepTime> step_time(const StepWork& work, const Rates& rates, const Computation& computation) {
  const auto amounts = amounts_of(work);
  StepTime time{{}, computation.overlaps};
  for (size_t p = 0; p < kPhaseCount; ++p) {
    auto& phase = time.seconds[p];
    for (const auto resource : kResources) {
      if (amounts[p][resource] == 0) continue;
      const auto rate = rate_of(resource, rates, computation);
      if (!rate) return std::nullopt;
      phase[resource] = amounts[p][resource] / *rate;
    }
    if (computation.overlaps && rates.disk_both) share_disk(phase, amounts[p], rates);
  }
  return time;
}

}  // namespace zerorun
