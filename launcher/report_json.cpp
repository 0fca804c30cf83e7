#include "launcher/report_json.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

enum class With { prediction, measurement };

Json to_json(const ComparedBytes& bytes, With with) {
  Json json = {{"predicted", bytes.predicted}};
  if (with == With::measurement) json["measured"] = bytes.measured;
  return json;
}

Json to_json(const RankMemory& memory, With with) {
  Json categories = Json::object();
  for (int i = 0; i < kCategoryCount; ++i) categories[name_of(static_cast<Category>(i))] = to_json(memory.categories[i], with);
  Json process = to_json(memory.process_peak, with);
  process["baseline"] = memory.process_baseline;
  Json json = {{"rank", memory.rank},
               {"categories", categories},
               {"padding", to_json(memory.padding, with)},
               {"total", to_json(memory.total, with)},
               {"arena", to_json(memory.arena, with)},
               {"process_peak", process}};
  if (memory.gpu) {
    json["gpu"] = {{"baseline", memory.gpu->baseline.total()},
                   {"context", memory.gpu->baseline.context},
                   {"workspace", memory.gpu->baseline.workspace},
                   {"nccl", memory.gpu->baseline.nccl},
                   {"reserved", to_json(memory.gpu->reserved, with)}, {"used", to_json(memory.gpu->used, with)}};
  }
  return json;
}

Json to_json(const std::vector<RankMemory>& memory, With with) {
  Json json = Json::array();
  for (const RankMemory& rank : memory) json.push_back(to_json(rank, with));
  return json;
}

Json to_json(const CollectiveTraffic& traffic, With with) {
  if (with == With::prediction) return {{"calls", traffic.calls}, {"predicted_bytes_sent", traffic.predicted_bytes_sent}};
  return {{"calls", traffic.calls},
          {"bytes_sent", traffic.bytes_sent},
          {"predicted_bytes_sent", traffic.predicted_bytes_sent},
          {"seconds", traffic.seconds}};
}

Json to_json(const Communication& communication, With with) {
  return {{"all_gather", to_json(communication.all_gather, with)},
          {"reduce_scatter", to_json(communication.reduce_scatter, with)},
          {"all_reduce", to_json(communication.all_reduce, with)},
          {"control", to_json(communication.control, with)}};
}

Json to_json(const StepSummary& steps) {
  Json json = {{"count", steps.count},
          {"first_loss", steps.first_loss},
          {"last_loss", steps.last_loss},
          {"last_validation_loss", steps.last_validation_loss ? Json(*steps.last_validation_loss) : Json(nullptr)},
          {"median_seconds", steps.median_seconds},
          {"tokens_per_second", steps.tokens_per_second},
          {"startup_seconds", steps.startup_seconds}};
  if (steps.skipped > 0) json["skipped"] = steps.skipped;
  if (steps.predicted) {
    json["predicted_seconds"] = steps.predicted->total();
    json["predicted_bound"] = key_of(steps.predicted->bounded_by());
    json["predicted_phases"] = step_time_json(*steps.predicted);
  }
  return json;
}

Json to_json(const ByPhase& amounts, const std::optional<StepTime>& time) {
  Json json = {{"seconds", time ? Json(time->total()) : Json(nullptr)}, {"bound", time ? Json(key_of(time->bounded_by())) : Json(nullptr)}};
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    for (const auto resource : kResources) {
      json[kPhaseNames[phase]][key_of(resource)] = {{"amount", static_cast<int64_t>(amounts[phase][resource])},
                                                    {"seconds", time ? Json(time->seconds[phase][resource]) : Json(nullptr)}};
    }
  }
  return json;
}

}  // namespace

nlohmann::ordered_json step_time_json(const StepTime& time) {
  Json json = {{"overlaps", time.overlaps}, {"gathers_ahead", time.gathers_ahead}};
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    Json seconds = {{"seconds", time.of_phase(phase)}};
    for (const auto resource : kResources) {
      if (time.seconds[phase][resource] > 0) seconds[key_of(resource)] = time.seconds[phase][resource];
    }
    json[kPhaseNames[phase]] = seconds;
  }
  return json;
}

nlohmann::ordered_json memory_json(const RankMemory& memory, bool measured) {
  return to_json(memory, measured ? With::measurement : With::prediction);
}

std::string report_json(const Report& report) {
  const Json json = {{"version", report.version},
                     {"world_size", report.world_size},
                     {"stage", report.stage},
                     {"device", report.device},
                     {"threads", report.threads},
                     {"parameters", report.parameters},
                     {"memory", to_json(report.memory, With::measurement)},
                     {"communication", to_json(report.communication, With::measurement)},
                     {"steps", to_json(report.steps)}};
  return json.dump(2) + "\n";
}

std::string plan_json(const std::vector<RankMemory>& memory, const Communication& communication, const ByPhase& step, const std::optional<StepTime>& time) {
  const Json json = {{"memory", to_json(memory, With::prediction)},
                     {"communication", to_json(communication, With::prediction)},
                     {"step", to_json(step, time)}};
  return json.dump(2);
}

}  // namespace zerorun
