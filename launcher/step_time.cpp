#include "launcher/step_time.h"

#include <algorithm>
#include <numeric>

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

std::optional<double> rate_of(Resource resource, const Rates& rates, const std::string& dtype) {
  switch (resource) {
    case Resource::compute: return rates.multiply.contains(dtype) ? std::optional(rates.multiply.at(dtype)) : std::nullopt;
    case Resource::to_device: return rates.host_to_device;
    case Resource::to_host: return rates.device_to_host;
    case Resource::disk_read: return rates.disk_read;
    case Resource::disk_write: return rates.disk_write;
    case Resource::update: return rates.adamw;
  }
  return std::nullopt;
}

Resource largest_of(const ByResource& seconds) {
  return kResources[static_cast<size_t>(std::ranges::max_element(seconds.values) - seconds.values.begin())];
}

double StepTime::of_phase(size_t phase) const {
  const auto& parts = seconds[phase];
  return overlaps ? largest(parts) : std::accumulate(parts.values.begin(), parts.values.end(), 0.0);
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

std::optional<StepTime> step_time(const StepWork& work, const Rates& rates, const std::string& dtype, bool overlaps) {
  const auto amounts = amounts_of(work);
  StepTime time{{}, overlaps};
  for (size_t p = 0; p < kPhaseCount; ++p) {
    auto& phase = time.seconds[p];
    for (const auto resource : kResources) {
      if (amounts[p][resource] == 0) continue;
      const auto rate = rate_of(resource, rates, dtype);
      if (!rate) return std::nullopt;
      phase[resource] = amounts[p][resource] / *rate;
    }
    if (!overlaps || !rates.disk_both) continue;
    auto& longer = phase[Resource::disk_read] > phase[Resource::disk_write] ? phase[Resource::disk_read] : phase[Resource::disk_write];
    longer = std::max(longer, (amounts[p][Resource::disk_read] + amounts[p][Resource::disk_write]) / *rates.disk_both);
  }
  return time;
}

}  // namespace zerorun
