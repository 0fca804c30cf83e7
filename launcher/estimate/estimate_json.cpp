#include <nlohmann/json.hpp>

#include "launcher/estimate/estimate_report.h"
#include "launcher/report_json.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

// Stages, of the formulas and of zerorun alike.
template <typename Stage>
Json stage_json(const Stage& stage) {
  return {{"parameters", stage.parameters}, {"gradients", stage.gradients}, {"optimizer", stage.optimizer}, {"states", stage.states()},
          {"all_reduce", stage.all_reduce}, {"reduce_scatter", stage.reduce_scatter}, {"all_gather", stage.all_gather}, {"sent", stage.sent()}};
}

Json model_json(const Architecture& model) {
  const auto& blocks = model.blocks;
  Json json = {{"name", model.name},
               {"family", model.family},
               {"trained", model.not_trained.empty()},
               {"parameters", model.parameters},
               {"active_parameters", model.active_parameters},
               {"largest_module", {{"name", model.largest_module}, {"parameters", model.largest_module_parameters}}},
               {"layers", blocks.layers},
               {"hidden_size", blocks.hidden},
               {"heads", blocks.heads},
               {"key_value_heads", blocks.key_value_heads},
               {"head_dim", blocks.head_dim},
               {"intermediate_size", blocks.inner},
               {"vocab_size", model.vocab_size},
               {"positions", model.positions}};
  if (!model.not_trained.empty()) json["not_trained"] = model.not_trained;
  return json;
}

Json stages_json(const Estimate& estimate) {
  Json stages = Json::array();
  for (int stage = 0; stage < 4; ++stage) {
    const auto& formula = estimate.formulas[stage];
    Json json = {{"stage", stage}, {"formula", stage_json(formula)}};
    json["formula"]["text"] = formula.states_formula;
    json["formula"]["sent_text"] = formula.traffic_formula;
    if (estimate.exact) {
      const auto& exact = (*estimate.exact)[stage];
      json["zerorun"] = stage_json(exact);
      json["zerorun"]["padding"] = exact.padding;
      json["zerorun"]["gathered"] = exact.gathered;
      json["zerorun"]["gradient_slots"] = exact.gradient_slots;
    }
    stages.push_back(std::move(json));
  }
  return stages;
}

Json inference_json(const InferenceMemory& memory) {
  Json json = {{"weights", memory.weights},
               {"kv_bytes_per_token", memory.kv_bytes_per_token},
               {"kv_cache", memory.kv_cache},
               {"activations", memory.activations},
               {"logits", memory.logits},
               {"total", memory.total()},
               {"streamed_weights", memory.streamed_weights},
               {"streamed_total", memory.streamed_total()},
               {"tokens_per_second", nullptr}};
  if (memory.tokens_per_second > 0) json["tokens_per_second"] = memory.tokens_per_second;
  return json;
}

Json deepspeed_json(const DeepSpeedCase& asked) {
  Json rows = Json::array();
  for (const auto& row : deepspeed_rows(asked)) {
    Json json = {{"host_bytes", row.host_bytes}, {"gpu_bytes", row.gpu_bytes}, {"offload_optimizer", row.offload_optimizer}};
    if (asked.stage == 3) {
      json["offload_param"] = row.offload_param;
      json["zero_init"] = row.zero_init;
    }
    rows.push_back(std::move(json));
  }
  Json json = {{"stage", asked.stage}, {"total_params", asked.parameters}, {"gpus_per_node", asked.gpus_per_node}, {"nodes", asked.nodes}, {"rows", rows}};
  if (asked.stage == 3) json["largest_layer_params"] = asked.largest_module;
  return json;
}

}  // namespace

std::string estimate_json(const Estimate& estimate) {
  Json json;
  if (estimate.model) json["model"] = model_json(*estimate.model);
  json["ranks"] = estimate.options.ranks();
  json["parameters"] = estimate.parameters;
  if (estimate.model) {
    json["micro_batch"] = estimate.options.micro_batch;
    json["seq_len"] = estimate.seq_len;
  }
  if (estimate.deepspeed) json["deepspeed"] = deepspeed_json(*estimate.deepspeed);
  for (const auto& figure : estimate.published) {
    json["published"][figure.key] = {{"formula", figure.formula}, {"published_gib", figure.published}, {"right", figure.right ? Json(*figure.right) : Json(nullptr)}, {"note", figure.note}};
  }
  json["stages"] = stages_json(estimate);
  for (const auto& [stage, recompute, memory] : estimate.dry_runs) json["dry_runs"].push_back({{"stage", stage}, {"recompute", recompute}, {"memory", memory_json(memory, false)}});
  for (const auto& row : estimate.activations) json["activations"][row.key] = {{"formula", row.formula}, {"bytes", row.bytes}};
  if (estimate.inference) json["inference"] = inference_json(*estimate.inference);
  return json.dump(2);
}

}  // namespace zerorun
