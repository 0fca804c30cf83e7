#include "core/weights/hf_config.h"

#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/weights/architecture_config.h"
#include "core/weights/config_values.h"
#include "core/weights/json_file.h"
#include "core/weights/safetensors_header.h"

namespace zerorun {
namespace {

using Json = nlohmann::json;

constexpr double kMostTheta = 1e12;

void require_activation(const ConfigValues& values, const char* key, const std::set<std::string>& implemented, const char* expected) {
  const auto name = values.text(key);
  if (name && !implemented.contains(*name)) {
    fail(ErrorKind::configuration, "{}: {} is {}, which is not implemented, expected {}", values.where(), key, shown(*name), expected);
  }
}

void read_as_zero(const ConfigValues& values, const char* key, double absent, std::vector<std::string>& warnings) {
  const double share = values.share(key).value_or(absent);
  if (share > 0) warnings.push_back(fmt::format("{}: {} {} is read as 0: dropout of attention weights is not implemented", values.where(), key, share));
}

double dropout_of(const ConfigValues& values) {
  constexpr double kAbsent = 0.1;
  const double residual = values.share("resid_pdrop").value_or(kAbsent), embedding = values.share("embd_pdrop").value_or(kAbsent);
  if (residual != embedding) {
    fail(ErrorKind::configuration, "{}: resid_pdrop {} and embd_pdrop {} differ, which is not implemented, expected one value for both",
         values.where(), residual, embedding);
  }
  return residual;
}

Gpt2Config read_gpt2(const ConfigValues& values, std::vector<std::string>& warnings) {
  const Gpt2Config absent;
  Gpt2Config config;
  config.vocab_size = values.integer("vocab_size", kMostVocabulary).value_or(absent.vocab_size);
  config.hidden_size = values.integer("n_embd", "hidden_size", kMostWidth).value_or(absent.hidden_size);
  config.num_hidden_layers = values.integer("n_layer", "num_hidden_layers", kMostLayers).value_or(absent.num_hidden_layers);
  config.num_attention_heads = values.integer("n_head", "num_attention_heads", kMostHeads).value_or(absent.num_attention_heads);
  config.intermediate_size = values.integer("n_inner", kMostWidth).value_or(0);
  config.max_position_embeddings = values.integer("n_positions", "max_position_embeddings", kMostWidth).value_or(absent.max_position_embeddings);
  config.tie_word_embeddings = values.flag("tie_word_embeddings").value_or(true);
  config.layer_norm_eps = values.real("layer_norm_epsilon", 1).value_or(absent.layer_norm_eps);
  config.dropout = dropout_of(values);
  read_as_zero(values, "attn_pdrop", 0.1, warnings);
  require_activation(values, "activation_function", {"gelu_new", "gelu_pytorch_tanh"}, "gelu_new or gelu_pytorch_tanh");
  values.require("scale_attn_weights", true);
  values.require("scale_attn_by_inverse_layer_idx", false);
  values.require("add_cross_attention", false);
  if (config.hidden_size % config.num_attention_heads != 0) {
    fail(ErrorKind::bad_data, "{}: n_embd is {}, expected a multiple of n_head, which is {}", values.where(), config.hidden_size,
         config.num_attention_heads);
  }
  return config;
}

// rope_theta is in rope_parameters (5.x), at the top (4.x), or in both.
double rope_theta_of(const ConfigValues& values) {
  auto theta = values.real("rope_theta", kMostTheta);
  values.require_absent("rope_scaling");
  if (const Json* nested = values.find("rope_parameters")) {
    const ConfigValues rope(*nested, values.where() + ": rope_parameters");
    const auto type = rope.text("rope_type");
    if (type && *type != "default") {
      fail(ErrorKind::configuration, "{}: rope_type is {}, which is not implemented, expected default", rope.where(), shown(*type));
    }
    for (const auto& [key, value] : nested->items()) {
      const bool whole = key == "partial_rotary_factor" && value == 1;
      if (key != "rope_theta" && key != "rope_type" && !whole) rope.require_absent(key.c_str());
    }
    const auto other = rope.real("rope_theta", kMostTheta);
    if (theta && other && *theta != *other) {
      fail(ErrorKind::bad_data, "{}: rope_theta is {}, but rope_parameters say {}", values.where(), *theta, *other);
    }
    if (other) theta = other;
  }
  return theta.value_or(LlamaConfig{}.rope_theta);
}

void check_heads(const LlamaConfig& config, const std::string& where) {
  if (!config.head_dim && config.hidden_size % config.num_attention_heads != 0) {
    fail(ErrorKind::bad_data, "{}: hidden_size is {}, no multiple of num_attention_heads {}, and there is no head_dim", where,
         config.hidden_size, config.num_attention_heads);
  }
  if (config.num_attention_heads % config.key_value_heads() != 0) {
    fail(ErrorKind::bad_data, "{}: num_attention_heads is {}, expected a multiple of num_key_value_heads, which is {}", where,
         config.num_attention_heads, config.key_value_heads());
  }
  if (config.width_of_head() % 2 != 0) {
    fail(ErrorKind::bad_data, "{}: heads are {} wide, expected an even number", where, config.width_of_head());
  }
}

LlamaConfig read_llama(const ConfigValues& values, std::vector<std::string>& warnings) {
  const LlamaConfig absent;
  LlamaConfig config;
  config.vocab_size = values.integer("vocab_size", kMostVocabulary).value_or(absent.vocab_size);
  config.hidden_size = values.integer("hidden_size", kMostWidth).value_or(absent.hidden_size);
  config.num_hidden_layers = values.integer("num_hidden_layers", kMostLayers).value_or(absent.num_hidden_layers);
  config.num_attention_heads = values.integer("num_attention_heads", kMostHeads).value_or(absent.num_attention_heads);
  config.num_key_value_heads = values.integer("num_key_value_heads", kMostHeads).value_or(0);
  config.head_dim = values.integer("head_dim", kMostWidth).value_or(0);
  config.intermediate_size = values.integer("intermediate_size", kMostWidth).value_or(absent.intermediate_size);
  config.max_position_embeddings = values.integer("max_position_embeddings", kMostWidth).value_or(absent.max_position_embeddings);
  config.tie_word_embeddings = values.flag("tie_word_embeddings").value_or(false);
  config.rms_norm_eps = values.real("rms_norm_eps", 1).value_or(absent.rms_norm_eps);
  config.rope_theta = rope_theta_of(values);
  read_as_zero(values, "attention_dropout", 0, warnings);
  require_activation(values, "hidden_act", {"silu"}, "silu");
  values.require("attention_bias", false);
  values.require("mlp_bias", false);
  values.require_absent("sliding_window");
  if (values.integer("pretraining_tp", kMostHeads).value_or(1) != 1) {
    fail(ErrorKind::configuration, "{}: pretraining_tp is {}, which is not implemented, expected 1", values.where(), values.find("pretraining_tp")->dump());
  }
  check_heads(config, values.where());
  return config;
}

// Ids of a tokenizer that is not known: Hugging Face's defaults are left to apply where the vocabulary is its own.
void add_token_ids(Json& json, int64_t vocab_size, int64_t default_vocab_size) {
  if (vocab_size == default_vocab_size) return;
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) json[key] = nullptr;
}

Json to_json(const Gpt2Config& config) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"n_positions", config.max_position_embeddings},
          {"n_embd", config.hidden_size},
          {"n_layer", config.num_hidden_layers},
          {"n_head", config.num_attention_heads},
          {"n_inner", config.intermediate_size ? Json(config.intermediate_size) : Json()},
          {"activation_function", "gelu_new"},
          {"resid_pdrop", config.dropout},
          {"embd_pdrop", config.dropout},
          {"attn_pdrop", 0.0},
          {"layer_norm_epsilon", config.layer_norm_eps},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"vocab_size", config.vocab_size}};
}

Json to_json(const LlamaConfig& config) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_hidden_layers},
          {"num_attention_heads", config.num_attention_heads},
          {"num_key_value_heads", config.key_value_heads()},
          {"head_dim", config.width_of_head()},
          {"hidden_act", "silu"},
          {"max_position_embeddings", config.max_position_embeddings},
          {"rms_norm_eps", config.rms_norm_eps},
          {"rope_theta", config.rope_theta},
          {"rope_parameters", {{"rope_theta", config.rope_theta}, {"rope_type", "default"}}},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"vocab_size", config.vocab_size}};
}

}  // namespace

std::string_view family_of(const ModelConfig& config) { return std::holds_alternative<LlamaConfig>(config) ? "llama" : "gpt2"; }

Model make_model(const ModelConfig& config) {
  if (const auto* llama = std::get_if<LlamaConfig>(&config)) return make_llama(*llama);
  return make_gpt2(std::get<Gpt2Config>(config));
}

HfConfig read_hf_config(const std::string& folder) { return read_hf_config_file(folder + "/config.json"); }

HfConfig read_hf_config_file(const std::string& path) {
  const Json json = read_json_file(path);
  const ConfigValues values(json, path);
  const auto type = values.text("model_type");
  if (!type) fail(ErrorKind::bad_data, "{} has no model_type, expected gpt2 or llama", path);
  values.require_absent("quantization_config");
  HfConfig config;
  if (*type == "gpt2") config.model = read_gpt2(values, config.warnings);
  else if (*type == "llama") config.model = read_llama(values, config.warnings);
  else if (is_family_for_estimates_only(*type)) fail(ErrorKind::configuration, "{}: model_type is {}: zerorun can estimate such a model (zerorun estimate --hf {}), but not train it, expected gpt2 or llama", path, shown(*type), path);
  else fail(ErrorKind::configuration, "{}: model_type is {}, which is not implemented, expected gpt2 or llama", path, shown(*type));
  return config;
}

std::string hf_config_json(const ModelConfig& config) {
  Json json = std::visit([](const auto& model) { return to_json(model); }, config);
  std::visit([&](const auto& model) { add_token_ids(json, model.vocab_size, std::decay_t<decltype(model)>{}.vocab_size); }, config);
  json["model_type"] = family_of(config);
  json["dtype"] = json["torch_dtype"] = "float32";
  return json.dump(2) + "\n";
}

}  // namespace zerorun
