// report.json as report_json.cpp writes it, read.
#include "core/error.h"
#include "launcher/json_value.h"
#include "launcher/report.h"

namespace zerorun {
namespace {

constexpr int kMostRanks = 65'536, kMostThreads = 1024;  // as of a plan and of run.threads

ComparedBytes bytes_of(const JsonValue& json, int64_t least = 0) { return {json["predicted"].integer(least), json["measured"].integer(least)}; }

// What reports of other versions may lack.
ComparedBytes bytes_of(const std::optional<JsonValue>& json) { return json ? bytes_of(*json, INT64_MIN) : ComparedBytes(); }

RankMemory memory_of(const JsonValue& json, int rank) {
  RankMemory memory;
  memory.rank = rank;
  if (json["rank"].integer() != rank) json["rank"].refuse(fmt::format("{}, as ranks are in their order", rank));
  const auto categories = json["categories"];
  for (int c = 0; c < kCategoryCount; ++c) memory.categories[static_cast<size_t>(c)] = bytes_of(categories[name_of(static_cast<Category>(c))]);
  memory.padding = bytes_of(json.find("padding"));
  memory.total = bytes_of(json["total"]);
  memory.arena = bytes_of(json.find("arena"));
  memory.process_peak = bytes_of(json["process_peak"]);
  memory.process_baseline = json["process_peak"]["baseline"].integer();
  if (const auto gpu = json.find("gpu")) {
    const auto part = [&](const char* key) { return (*gpu)[key].integer(INT64_MIN); };
    memory.gpu = {{part("context"), part("workspace"), part("nccl")}, bytes_of((*gpu)["reserved"]), bytes_of((*gpu)["used"])};
  }
  return memory;
}

CollectiveTraffic traffic_of(const JsonValue& json) {
  return {json["calls"].integer(), json["bytes_sent"].integer(), json["predicted_bytes_sent"].integer(), json["seconds"].number()};
}

StepTime time_of(const JsonValue& json) {
  StepTime time{{}, json["overlaps"].truth(), json["gathers_ahead"].truth()};
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    const auto of_phase = json[kPhaseNames[phase]];
    for (const auto resource : kResources) {
      if (const auto seconds = of_phase.find(key_of(resource))) time.seconds[phase][resource] = seconds->number();
    }
  }
  return time;
}

StepSummary steps_of(const JsonValue& json) {
  StepSummary steps{.count = json["count"].integer(),
                    .first_loss = json["first_loss"].number(),
                    .last_loss = json["last_loss"].number(),
                    .last_validation_loss = {},
                    .median_seconds = json["median_seconds"].number(),
                    .tokens_per_second = json["tokens_per_second"].number(),
                    .startup_seconds = json["startup_seconds"].number(),
                    .predicted = {}};
  if (const auto loss = json["last_validation_loss"]; !loss.is_null()) steps.last_validation_loss = loss.number();
  if (const auto skipped = json.find("skipped")) steps.skipped = skipped->integer();
  if (const auto phases = json.find("predicted_phases")) steps.predicted = time_of(*phases);
  return steps;
}

}  // namespace

Report report_of(std::string_view text, const std::string& file) {
  const auto document = JsonValue::parse(text, file);
  const JsonValue json(document, file);
  Report report;
  report.version = json["version"].text();
  report.world_size = static_cast<int>(json["world_size"].integer(1, kMostRanks));
  report.stage = static_cast<int>(json["stage"].integer(0, 3));
  report.device = json["device"].text();
  report.threads = static_cast<int>(json["threads"].integer(1, kMostThreads));
  report.parameters = json["parameters"].integer();
  const auto memory = json["memory"];
  if (memory.size() != static_cast<size_t>(report.world_size)) memory.refuse(fmt::format("an entry for each of {} ranks", report.world_size));
  for (int rank = 0; rank < report.world_size; ++rank) report.memory.push_back(memory_of(memory[static_cast<size_t>(rank)], rank));
  const auto communication = json["communication"];
  report.communication = {traffic_of(communication["all_gather"]), traffic_of(communication["reduce_scatter"]), traffic_of(communication["all_reduce"]),
                          traffic_of(communication["control"])};
  report.steps = steps_of(json["steps"]);
  return report;
}

}  // namespace zerorun
