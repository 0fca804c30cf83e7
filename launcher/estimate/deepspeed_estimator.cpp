#include "launcher/estimate/deepspeed_estimator.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace zerorun {
namespace {

constexpr double kReserve = 1.5;
constexpr double kGiB = 1 << 30;

// As Python divides and truncates.
int64_t share(int64_t bytes, int64_t gpus) { return static_cast<int64_t>(static_cast<double>(bytes) / static_cast<double>(gpus)); }

int64_t with_reserve(double bytes) { return static_cast<int64_t>(bytes * kReserve); }

DeepSpeedRow row_of_stage2(const DeepSpeedCase& asked, bool offload) {
  const int64_t parameters = asked.parameters, gpus = int64_t{asked.nodes} * asked.gpus_per_node;
  const int64_t host = parameters * (offload ? std::max<int64_t>(4 * gpus, 16) : 4 * asked.gpus_per_node);
  return {.offload_optimizer = offload, .host_bytes = with_reserve(static_cast<double>(host)), .gpu_bytes = 2 * parameters + (offload ? 0 : share(18 * parameters, gpus))};
}

DeepSpeedRow row_of_stage3(const DeepSpeedCase& asked, bool offload_optimizer, bool offload_param, bool zero_init) {
  const int64_t parameters = asked.parameters, gpus = int64_t{asked.nodes} * asked.gpus_per_node;
  const int64_t on_gpu = offload_param ? 0 : offload_optimizer ? 2 : 18, in_host = offload_param ? 18 : 16;
  const double of_node = 1.0 / asked.nodes;
  const int64_t fresh = 4 * asked.gpus_per_node;  // every process builds the model in fp32
  double host = 0;
  if (offload_optimizer) {
    const double asleep = static_cast<double>(parameters * in_host) * of_node;
    host = zero_init ? asleep : static_cast<double>(parameters) * std::max(static_cast<double>(fresh), static_cast<double>(in_host) * of_node);
  } else {
    host = static_cast<double>((zero_init ? asked.largest_module : parameters) * fresh);
  }
  return {offload_optimizer, offload_param, zero_init, with_reserve(host), 4 * asked.largest_module + (on_gpu ? share(on_gpu * parameters, gpus) : 0)};
}

std::string options_of(const DeepSpeedCase& asked, const DeepSpeedRow& row) {
  const auto device = [](bool offload) { return offload ? "cpu " : "none"; };
  if (asked.stage == 2) return fmt::format("offload_optimizer={}", device(row.offload_optimizer));
  return fmt::format("offload_param={}, offload_optimizer={}, zero_init={}", device(row.offload_param), device(row.offload_optimizer), row.zero_init ? 1 : 0);
}

}  // namespace

std::vector<DeepSpeedRow> deepspeed_rows(const DeepSpeedCase& asked) {
  ZR_CHECK(asked.stage == 2 || asked.stage == 3, "DeepSpeed estimates stages 2 and 3, not {}", asked.stage);
  if (asked.stage == 2) return {row_of_stage2(asked, true), row_of_stage2(asked, false)};
  std::vector<DeepSpeedRow> rows;
  for (const auto& [optimizer, param] : {std::pair(true, true), std::pair(true, false), std::pair(false, false)}) {
    for (const bool zero_init : {true, false}) rows.push_back(row_of_stage3(asked, optimizer, param, zero_init));
  }
  return rows;
}

std::string deepspeed_text(const DeepSpeedCase& asked) {
  const auto millions = [](int64_t count) { return static_cast<int64_t>(static_cast<double>(count) / 1e6); };
  std::string text = fmt::format(
      "Estimated memory needed for params, optim states and gradients for a:\n"
      "HW: Setup with {} {}, {} {} per node.\n"
      "SW: Model with {}M total params",
      asked.nodes, asked.nodes > 1 ? "nodes" : "node", asked.gpus_per_node, asked.gpus_per_node > 1 ? "GPUs" : "GPU", millions(asked.parameters));
  if (asked.stage == 3) text += fmt::format(", {}M largest layer params", millions(asked.largest_module));
  text += ".\n  per CPU  |  per GPU |   Options\n";
  for (const auto& row : deepspeed_rows(asked)) {
    text += fmt::format(" {:7.2f}GB | {:6.2f}GB | {}\n", static_cast<double>(row.host_bytes) / kGiB, static_cast<double>(row.gpu_bytes) / kGiB, options_of(asked, row));
  }
  return text;
}

}  // namespace zerorun
