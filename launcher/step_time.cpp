#include "launcher/step_time.h"

#include <algorithm>

#include "zero/step_work.h"

namespace zerorun {
namespace {

void add_sent(ByResource& amounts, int64_t bytes, const RanksAt& at) {
  if (at.of_host() > 1) amounts[Resource::links] = static_cast<double>(bytes);
  if (at.hosts > 1) amounts[Resource::network] = static_cast<double>(bytes);
}

ByResource amounts_of(const PhaseWork& phase, const RanksAt& at) {
  ByResource amounts;
  amounts[Resource::compute] = static_cast<double>(phase.operations.flops);
  amounts[Resource::memory] = static_cast<double>(phase.operations.moved);
  amounts[Resource::to_device] = static_cast<double>(phase.moves.up);
  amounts[Resource::to_host] = static_cast<double>(phase.moves.down);
  amounts[Resource::disk_read] = static_cast<double>(phase.moves.disk_read);
  amounts[Resource::disk_write] = static_cast<double>(phase.moves.disk_written);
  amounts[Resource::update] = static_cast<double>(phase.updated);
  add_sent(amounts, phase.sent, at);
  return amounts;
}

// Products and what else is computed, one after the other.
double computing(const ByResource& seconds) { return seconds[Resource::compute] + seconds[Resource::memory]; }

double largest(const ByResource& seconds) { return std::max(computing(seconds), *std::ranges::max_element(seconds.values)); }

// As many bytes as are moved both ways go at the rate of both, the rest of the longer side at its own.
void share_disk(ByResource& seconds, const ByResource& amounts, double rate_of_both) {
  const double read = amounts[Resource::disk_read], written = amounts[Resource::disk_write], both = std::min(read, written);
  const auto longer = read > written ? Resource::disk_read : Resource::disk_write;
  if (both > 0) seconds[longer] = std::max(seconds[longer], 2 * both / rate_of_both + seconds[longer] * (1 - both / amounts[longer]));
}

}  // namespace

const char* name_of(Resource resource) {
  constexpr std::array kNames{"matrix products", "memory", "to the device", "to the host", "disk, read", "disk, written", "updates",
                              "between ranks of a host", "between hosts"};
  return kNames[static_cast<size_t>(resource)];
}

const char* key_of(Resource resource) {
  constexpr std::array kKeys{"compute", "memory", "to_device", "to_host", "disk_read", "disk_write", "update", "links", "network"};
  return kKeys[static_cast<size_t>(resource)];
}

ByPhase amounts_of(const StepWork& work, const RanksAt& at) {
  ByPhase amounts{amounts_of(work.forward, at), amounts_of(work.backward, at), {}};
  amounts.back()[Resource::update] = static_cast<double>(work.updated);
  add_sent(amounts.back(), work.published, at);
  return amounts;
}

ByResource sum_of(const ByPhase& phases) {
  ByResource sum;
  for (const auto& phase : phases) {
    for (const auto resource : kResources) sum[resource] += phase[resource];
  }
  return sum;
}

std::optional<double> rate_of(Resource resource, size_t phase, const Rates& rates, const Computation& computation) {
  const bool on_host = computation.device == Side::host;
  const int neighbours = computation.at.of_host();
  const double cores = on_host && computation.threads > 0 ? std::min(1.0, static_cast<double>(computation.threads) / rates.threads) : 1;
  const auto shared = [&](const std::optional<double>& rate) { return rate ? std::optional(*rate / neighbours) : std::nullopt; };
  const auto own = [&](double rate) { return on_host ? shared(rate) : std::optional(rate); };
  const auto bytes_of_update = [](int states) { return 12.0 + 8.0 * states; };  // parameter and states read and written, gradient read
  switch (resource) {
    case Resource::compute:
      return rates.multiply.contains(computation.dtype) ? std::optional(rates.multiply.at(computation.dtype) * cores) : std::nullopt;
    case Resource::memory: return own(rates.memory_copy);
    case Resource::to_device: return own(rates.host_to_device);
    case Resource::to_host: return own(rates.device_to_host);
    case Resource::disk_read: return shared(rates.disk_read);
    case Resource::disk_write: return shared(rates.disk_write);
    case Resource::update: {
      const double adamw = on_host ? rates.adamw * cores : phase + 1 < kPhaseCount ? rates.host_adamw.value_or(rates.adamw) / neighbours : rates.adamw;
      return adamw * bytes_of_update(2) / bytes_of_update(computation.optimizer_states);
    }
    case Resource::links: return own(rates.links.value_or(rates.host_to_device));
    case Resource::network: return rates.network;
  }
  return std::nullopt;
}

Resource largest_of(const ByResource& seconds) {
  const auto most = kResources[static_cast<size_t>(std::ranges::max_element(seconds.values) - seconds.values.begin())];
  const auto of_computing = seconds[Resource::compute] >= seconds[Resource::memory] ? Resource::compute : Resource::memory;
  return seconds[most] > computing(seconds) ? most : of_computing;
}

double StepTime::of_phase(size_t phase) const {
  auto parts = seconds[phase];
  const double sent = std::max(parts[Resource::links], parts[Resource::network]);
  if (!gathers_ahead) parts[Resource::links] = parts[Resource::network] = 0;
  const double waited = gathers_ahead ? 0 : sent;
  if (overlaps) return largest(parts) + waited;
  const double moves = parts[Resource::to_device] + parts[Resource::to_host] + parts[Resource::update];
  return std::max(computing(parts), gathers_ahead ? sent : 0) + std::max({moves, parts[Resource::disk_read], parts[Resource::disk_write]}) + waited;
}

double StepTime::total() const {
  double total = 0;
  for (size_t phase = 0; phase < kPhaseCount; ++phase) total += of_phase(phase);
  return total;
}

Resource StepTime::bounded_by() const {
  if (!overlaps) return largest_of(sum_of(seconds));
  ByResource bound;
  for (size_t phase = 0; phase < kPhaseCount; ++phase) bound[largest_of(seconds[phase])] += of_phase(phase);
  return largest_of(bound);
}

std::optional<StepTime> step_time(const StepWork& work, const Rates& rates, const Computation& computation) {
  const auto amounts = amounts_of(work, computation.at);
  const std::array<const OperationCount*, kPhaseCount> operations_of{&work.forward.operations, &work.backward.operations, nullptr};
  StepTime time{{}, computation.overlaps, computation.gathers_ahead};
  for (size_t p = 0; p < kPhaseCount; ++p) {
    auto& phase = time.seconds[p];
    for (const auto resource : kResources) {
      if (amounts[p][resource] == 0) continue;
      const auto rate = rate_of(resource, p, rates, computation);
      if (!rate) return std::nullopt;
      phase[resource] = amounts[p][resource] / *rate;
    }
    if (const auto* operations = operations_of[p]) {  // the roofline: operands may take longer to come than the operations on them
      phase[Resource::compute] = std::max(phase[Resource::compute], static_cast<double>(operations->operands) / *rate_of(Resource::memory, p, rates, computation));
    }
    if (rates.disk_both) share_disk(phase, amounts[p], *rates.disk_both / computation.at.of_host());
  }
  return time;
}

}  // namespace zerorun
