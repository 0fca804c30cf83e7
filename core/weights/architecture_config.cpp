#include "core/weights/architecture_config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/architectures/internvl.h"
#include "core/architectures/opt.h"
#include "core/architectures/trained.h"
#include "core/error.h"
#include "core/weights/config_values.h"
#include "core/weights/json_file.h"
#include "core/weights/safetensors_header.h"

namespace zerorun {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMostExperts = 1024, kMostExpertsInAll = 65'536, kMostPixels = 65'536;
constexpr std::string_view kDecoders[] = {"llama", "mistral", "mixtral", "qwen2", "phi3", "internlm2"};
constexpr const char* kDecoderFamilies = "llama, mistral, mixtral, qwen2, phi3 or internlm2";
constexpr const char* kFamilies = "gpt2, llama, opt, mistral, mixtral, qwen2, phi3, internlm2 or internvl_chat";

bool is_decoder(std::string_view type) { return std::ranges::find(kDecoders, type) != std::end(kDecoders); }

void require_multiple(const ConfigValues& values, const char* name, int64_t value, const char* divisor_name, int64_t divisor) {
  if (value % divisor != 0) fail(ErrorKind::bad_data, "{}: {} is {}, expected a multiple of {}, which is {}", values.where(), name, value, divisor_name, divisor);
}

std::string type_of(const ConfigValues& values, const char* expected) {
  const auto type = values.text("model_type");
  if (!type) fail(ErrorKind::bad_data, "{} has no model_type, expected {}", values.where(), expected);
  return *type;
}

[[noreturn]] void unknown_type(const ConfigValues& values, const std::string& type, const char* expected) {
  fail(ErrorKind::configuration, "{}: model_type is {}, which zerorun cannot estimate, expected {}", values.where(), shown(type), expected);
}

void read_heads(const ConfigValues& values, DecoderConfig& config) {
  const bool all_have_keys = config.family == "llama" || config.family == "phi3" || config.family == "internlm2";
  config.heads = values.required("num_attention_heads", kMostHeads);
  config.key_value_heads = all_have_keys ? values.integer("num_key_value_heads", kMostHeads).value_or(config.heads) : values.required("num_key_value_heads", kMostHeads);
  require_multiple(values, "num_attention_heads", config.heads, "num_key_value_heads", config.key_value_heads);
  const auto width = values.integer("head_dim", kMostWidth);
  if (!width) require_multiple(values, "hidden_size", config.hidden_size, "num_attention_heads", config.heads);
  config.head_dim = width.value_or(config.hidden_size / config.heads);
}

void read_experts(const ConfigValues& values, DecoderConfig& config) {
  config.experts = values.required("num_local_experts", kMostExperts);
  config.experts_of_token = values.required("num_experts_per_tok", config.experts);
  if (config.layers * config.experts > kMostExpertsInAll) {
    fail(ErrorKind::bad_data, "{}: num_local_experts is {} in each of {} layers, expected at most {} in all", values.where(), config.experts, config.layers, kMostExpertsInAll);
  }
}

DecoderConfig read_decoder(const ConfigValues& values, const std::string& family) {
  DecoderConfig config;
  config.family = family;
  config.vocab_size = values.required("vocab_size", kMostVocabulary);
  config.hidden_size = values.required("hidden_size", kMostWidth);
  config.layers = values.required("num_hidden_layers", kMostLayers);
  config.inner = values.required("intermediate_size", kMostWidth);
  config.positions = values.required("max_position_embeddings", kMostWidth);
  read_heads(values, config);
  config.tied = values.flag("tie_word_embeddings").value_or(false);
  if (family == "mixtral") read_experts(values, config);
  if (family == "qwen2") config.qkv_bias = true;
  if (family == "internlm2") config.qkv_bias = config.output_bias = values.flag("bias").value_or(true);
  if (family == "llama") {
    config.qkv_bias = config.output_bias = values.flag("attention_bias").value_or(false);
    config.mlp_bias = values.flag("mlp_bias").value_or(false);
  }
  return config;
}

// Of blocks whose heads share the width.
template <typename Config>
void read_blocks(const ConfigValues& values, Config& config) {
  config.hidden_size = values.required("hidden_size", kMostWidth);
  config.layers = values.required("num_hidden_layers", kMostLayers);
  config.heads = values.required("num_attention_heads", kMostHeads);
  require_multiple(values, "hidden_size", config.hidden_size, "num_attention_heads", config.heads);
}

OptConfig read_opt(const ConfigValues& values) {
  OptConfig config;
  config.vocab_size = values.required("vocab_size", kMostVocabulary);
  read_blocks(values, config);
  config.inner = values.required("ffn_dim", kMostWidth);
  config.positions = values.required("max_position_embeddings", kMostWidth);
  config.embedding_size = values.integer("word_embed_proj_dim", kMostWidth).value_or(0);
  config.final_norm = values.flag("do_layer_norm_before").value_or(true) && !values.flag("_remove_final_layer_norm").value_or(false);
  config.tied = values.flag("tie_word_embeddings").value_or(true);
  config.biases = values.flag("enable_bias").value_or(true);
  values.require("layer_norm_elementwise_affine", true);
  return config;
}

InternVitConfig read_vision(const ConfigValues& values) {
  InternVitConfig config;
  const auto type = values.text("model_type");
  if (type && *type != "intern_vit_6b") unknown_type(values, *type, "intern_vit_6b");
  read_blocks(values, config);
  config.inner = values.required("intermediate_size", kMostWidth);
  config.image_size = values.required("image_size", kMostPixels);
  config.patch_size = values.required("patch_size", config.image_size);
  config.channels = values.integer("num_channels", kMostHeads).value_or(config.channels);
  config.qkv_bias = values.flag("qkv_bias").value_or(false);
  config.normed_queries = values.flag("qk_normalization").value_or(true);
  const std::string norm = values.text("norm_type").value_or("rms_norm");
  if (norm != "rms_norm" && norm != "layer_norm") fail(ErrorKind::configuration, "{}: norm_type is {}, expected rms_norm or layer_norm", values.where(), shown(norm));
  config.layer_norms = norm == "layer_norm";
  return config;
}

int64_t read_patches_of_token(const ConfigValues& values) {
  const double side = 1 / values.real("downsample_ratio", 1).value_or(0.5);
  if (side != std::floor(side) || side > 64) fail(ErrorKind::bad_data, "{}: downsample_ratio is {}, expected 1 over a whole number up to 64", values.where(), 1 / side);
  return static_cast<int64_t>(side) * static_cast<int64_t>(side);
}

const Json& nested(const ConfigValues& values, const char* key) {
  const Json* found = values.find(key);
  if (!found) fail(ErrorKind::bad_data, "{}: {} is missing, expected an object", values.where(), key);
  return *found;
}

InternVlConfig read_internvl(const ConfigValues& values) {
  const ConfigValues vision(nested(values, "vision_config"), values.where() + ": vision_config"), language(nested(values, "llm_config"), values.where() + ": llm_config");
  const std::string type = type_of(language, kDecoderFamilies);
  if (!is_decoder(type)) unknown_type(language, type, kDecoderFamilies);
  return {read_vision(vision), read_decoder(language, type), read_patches_of_token(values)};
}

// One that the trainer's own reader takes is trained; of another, its sizes.
Architecture read_trained(const ConfigValues& values, const std::string& path, const std::string& type) {
  try {
    return make_trained(read_hf_config_file(path).model, path);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::configuration || type != "llama") throw;
    auto architecture = make_decoder(read_decoder(values, type), path);
    architecture.not_trained = error.what();
    return architecture;
  }
}

}  // namespace

bool is_family_for_estimates_only(std::string_view model_type) {
  return model_type == "opt" || model_type == "internvl_chat" || (is_decoder(model_type) && model_type != "llama");
}

Architecture read_architecture(const std::string& given) {
  std::error_code error;
  const std::string path = std::filesystem::is_directory(given, error) ? given + "/config.json" : given;
  const Json json = read_json_file(path);
  const ConfigValues values(json, path);
  const std::string type = type_of(values, kFamilies);
  values.require_absent("quantization_config");
  if (type == "gpt2" || type == "llama") return read_trained(values, path, type);
  if (type == "opt") return make_opt(read_opt(values), path);
  if (type == "internvl_chat") return make_internvl(read_internvl(values), path);
  if (is_decoder(type)) return make_decoder(read_decoder(values, type), path);
  unknown_type(values, type, kFamilies);
}

}  // namespace zerorun
