#include <fmt/ranges.h>

#include "launcher/offload_bench.h"
#include "launcher/report_json.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

const char* what_of(const OffloadRow& row) { return row.trains ? "training" : "inference"; }

std::string place_of(Settings::OffloadDevice device) {
  switch (device) {
    case Settings::OffloadDevice::none: return "on the device";
    case Settings::OffloadDevice::cpu: return "in host memory";
    case Settings::OffloadDevice::nvme: return "on disk";
  }
  return "";
}

std::string row_of(const OffloadRow& row) {
  const bool ran = row.not_run.empty();
  const auto bytes = [&](Category category) {
    const auto& compared = row.memory.categories[static_cast<size_t>(category)];
    return readable_bytes(ran ? compared.measured : compared.predicted);
  };
  std::string text = fmt::format("{:<10} {:<10} {:>11} {:>11} {:>11} {:>11}", what_of(row), name_of(row.mode), readable_bytes(row.memory.total.predicted),
                                 ran ? readable_bytes(row.memory.total.measured) : "-", bytes(Category::host), bytes(Category::disk));
  text += fmt::format(" {:>9} {:>9}", ran ? fmt::format("{:.3f}", row.seconds) : "-", row.predicted ? fmt::format("{:.3f}", row.predicted->total()) : "-");
  return text + (ran ? fmt::format("  {}\n", name_of(bounded_by(row))) : fmt::format("  not run: {}\n", row.not_run));
}

struct Unit {
  double size;
  const char *amount, *rate;
};

Unit unit_of(Resource resource) {
  if (resource == Resource::compute) return {1e9, "GFLOP", "GFLOP/s"};
  if (resource == Resource::update) return {1e6, "M parameters", "M/s"};
  return {1e9, "GB", "GB/s"};
}

// What the resources of a row did in a step.
std::string resources_of(const OffloadRow& row, const OffloadBench& bench) {
  std::string text = fmt::format("\n{:<28} {:>22} {:>10} {:>18} {:>18}\n", fmt::format("{}, {}", what_of(row), name_of(row.mode)), "of a step", "busy s", "achieved", "this machine");
  for (const auto resource : kResources) {
    if (row.amounts[resource] == 0) continue;
    const auto unit = unit_of(resource);
    const auto rate = [&](std::optional<double> value) { return value ? fmt::format("{:.1f} {}", *value / unit.size, unit.rate) : std::string("-"); };
    const double busy = row.busy[resource];
    text += fmt::format("  {:<26} {:>22} {:>10} {:>18} {:>18}\n", name_of(resource), fmt::format("{:.2f} {}", row.amounts[resource] / unit.size, unit.amount),
                        busy > 0 ? fmt::format("{:.3f}", busy) : "-", rate(busy > 0 ? std::optional(row.amounts[resource] / busy) : std::nullopt),
                        rate(rate_of(resource, 0, bench.rates, bench.computation)));
  }
  return text;
}

Json json_of(const OffloadRow& row, const OffloadBench& bench) {
  const bool ran = row.not_run.empty();
  Json resources = Json::object();
  for (const auto resource : kResources) {
    const double busy = row.busy[resource], amount = row.amounts[resource];
    const auto rate = rate_of(resource, 0, bench.rates, bench.computation);
    resources[key_of(resource)] = {{"amount", static_cast<int64_t>(amount)},
                                   {"seconds", ran && bench.device == "cpu" ? Json(busy) : Json(nullptr)},
                                   {"achieved", ran && busy > 0 ? Json(amount / busy) : Json(nullptr)},
                                   {"predicted", rate ? Json(*rate) : Json(nullptr)}};
  }
  return {{"what", what_of(row)},
          {"mode", name_of(row.mode)},
          {"memory", memory_json(row.memory, ran)},
          {"seconds_per_step", ran ? Json(row.seconds) : Json(nullptr)},
          {"predicted_seconds", row.predicted ? Json(row.predicted->total()) : Json(nullptr)},
          {"predicted_phases", row.predicted ? step_time_json(*row.predicted) : Json(nullptr)},
          {"bound", ran ? Json(key_of(bounded_by(row))) : Json(nullptr)},
          {"predicted_bound", row.predicted ? Json(key_of(row.predicted->bounded_by())) : Json(nullptr)},
          {"resources", resources},
          {"not_run", ran ? Json(nullptr) : Json(row.not_run)}};
}

}  // namespace

std::string offload_bench_table(const OffloadBench& bench) {
  const auto& [zero, training] = std::tie(bench.settings.zero_optimization, bench.settings.training);
  std::string text = fmt::format("{} parameters in {}, {} rank{} {}, {} x {} tokens a step\nparameters sleep {}, the optimizer {}, what blocks read {}\n\n",
                                 bench.parameters, bench.computation.dtype, bench.ranks, bench.ranks == 1 ? "" : "s",
                                 bench.device == "cpu" ? fmt::format("of {} thread{}", bench.threads, bench.threads == 1 ? "" : "s") : "on " + bench.device,
                                 training.global_batch_size, training.seq_len, place_of(zero.offload_param.device), place_of(zero.offload_optimizer.device),
                                 place_of(bench.settings.activation_checkpoint.offload));
  text += fmt::format("{:<21} {:>11} {:>11} {:>11} {:>11} {:>9} {:>9}  {}\n{:<21} {:>11} {:>11}\n", "", "device:", "device:", "host", "disk", "s/step", "at least", "bounded by",
                      "", "predicted", "measured");
  for (const auto& row : bench.rows) text += row_of(row);
  for (const auto& row : bench.rows) {
    if (row.mode != OffloadRow::Mode::blocked && row.not_run.empty()) text += resources_of(row, bench);
  }
  text += "\ndevice: peak of all that the rank holds there; at least: by what this machine does in a second (zerorun bench rates); ";
  return text + (bench.device == "cpu" ? "busy: while one or more of its\nmoves, reads, writes or computations ran\n"
                                       : "bounded by: by those\nrates, as what a GPU does in a step is not seen from outside\n");
}

std::string offload_bench_json(const OffloadBench& bench) {
  Json rows = Json::array();
  for (const auto& row : bench.rows) rows.push_back(json_of(row, bench));
  const auto& training = bench.settings.training;
  const Json json = {{"parameters", bench.parameters}, {"dtype", bench.computation.dtype}, {"ranks", bench.ranks}, {"threads", bench.threads}, {"device", bench.device}, {"steps", bench.steps},
                     {"tokens_per_step", training.global_batch_size * training.seq_len}, {"rates", Json::parse(rates_json(bench.rates))}, {"rows", rows}};
  return json.dump(2) + "\n";
}

}  // namespace zerorun
