#include "launcher/ladder_report.h"
#include "launcher/report_json.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(std::optional<int64_t> value) { return value ? Json(*value) : Json(nullptr); }

Json to_json(const RungResult& result, bool is_toy) {
  const auto& rung = result.rung;
  const bool ran = result.not_run.empty();
  Json states = {{"predicted", ladder_states(result.memory, &ComparedBytes::predicted)}};
  if (ran) states["measured"] = ladder_states(result.memory, &ComparedBytes::measured);
  Json json = {{"name", rung.name},
               {"samples", rung.samples()},
               {"micro_batch_size", rung.micro_batch_size},
               {"accumulation", rung.accumulation},
               {"recompute", rung.recompute},
               {"optimizer", name_of(rung.update)},
               {"dtype", rung.bf16 ? "bf16" : "fp32"},
               {"asleep", name_of(rung.asleep)},
               {"ranks", rung.ranks},
               {"stage", rung.stage},
               {"threads", result.threads},
               {"ranks_of_process", result.process_ranks},
               {"state_bytes_per_parameter", state_bytes_per_parameter(rung)},
               {"states", states}};
  if (is_toy) {
    json["target_mib"] = to_json(rung.toy.target_mib);
    json["document_mib"] = to_json(rung.toy.document_mib);
  }
  json["memory"] = memory_json(result.memory, ran);
  json["seconds_per_step"] = ran ? Json(result.seconds_per_step) : Json(nullptr);
  json["samples_per_second"] = ran ? Json(result.samples_per_second()) : Json(nullptr);
  json["last_loss"] = ran ? Json(result.last_loss) : Json(nullptr);
  json["not_run"] = ran ? Json(nullptr) : Json(result.not_run);
  return json;
}

}  // namespace

std::string ladder_json(const Ladder& ladder) {
  const auto& options = ladder.options;
  Json rungs = Json::array();
  for (const auto& result : ladder.results) rungs.push_back(to_json(result, ladder.is_toy));
  Json model = {{"preset", options.preset}};
  if (options.hidden_size) {
    model = {{"hidden_size", *options.hidden_size}, {"layers", *options.layers}, {"heads", *options.heads}};
  }
  const Json json = {{"version", ladder.version},
                     {"model", model},
                     {"parameters", ladder.parameters},
                     {"seq_len", options.seq_len},
                     {"batch", options.batch},
                     {"steps", options.steps},
                     {"rungs", rungs}};
  return json.dump(2);
}

}  // namespace zerorun
