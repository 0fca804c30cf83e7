#include "core/models/llama_presets.h"

#include "core/models/preset_table.h"

namespace zerorun {
namespace {

struct Named {
  std::string_view name, alias;
  LlamaConfig config;
};

// Each name, and its alias behind it.
std::vector<Preset<LlamaConfig>> with_aliases(const std::vector<Named>& models) {
  std::vector<Preset<LlamaConfig>> table;
  for (const auto& model : models) {
    table.push_back({model.name, model.config});
    if (!model.alias.empty()) table.push_back({model.alias, model.config});
  }
  return table;
}

const std::vector<Preset<LlamaConfig>>& presets() {
  static const auto table = with_aliases({
      {"llama-debug", "debug", {.hidden_size = 2048, .num_hidden_layers = 20, .num_attention_heads = 2, .intermediate_size = 4096}},
      {"llama-1b", "1b", {.hidden_size = 2048, .num_hidden_layers = 22, .num_attention_heads = 16, .intermediate_size = 5504}},
      {"tinyllama-1.1b", "tinyllama",
       {.hidden_size = 2048, .num_hidden_layers = 22, .num_attention_heads = 32,
        .num_key_value_heads = 4, .intermediate_size = 5632, .rms_norm_eps = 1e-05}},
      {"easylm-debug", "", {.hidden_size = 128, .num_hidden_layers = 2, .num_attention_heads = 4, .intermediate_size = 256}},
      {"llama-3b", "3b", {.hidden_size = 3200, .num_hidden_layers = 26, .num_attention_heads = 32, .intermediate_size = 8640}},
      {"llama-7b", "7b",
       {.hidden_size = 4096, .num_hidden_layers = 32, .num_attention_heads = 32,
        .intermediate_size = 11008, .max_position_embeddings = 4096, .rms_norm_eps = 1e-05}},
      {"llama-13b", "13b",
       {.hidden_size = 5120, .num_hidden_layers = 40, .num_attention_heads = 40,
        .intermediate_size = 13824, .max_position_embeddings = 4096, .rms_norm_eps = 1e-05}},
      {"llama-30b", "30b", {.hidden_size = 6656, .num_hidden_layers = 60, .num_attention_heads = 52, .intermediate_size = 17920}},
      {"llama-65b", "65b",
       {.hidden_size = 8192, .num_hidden_layers = 80, .num_attention_heads = 64,
        .intermediate_size = 22016, .rms_norm_eps = 1e-05}},
      {"llama-3-70b", "",
       {.vocab_size = 128256, .hidden_size = 8192, .num_hidden_layers = 80, .num_attention_heads = 64, .num_key_value_heads = 8,
        .intermediate_size = 28672, .max_position_embeddings = 8192, .rms_norm_eps = 1e-05, .rope_theta = 500000}},
      {"phi-3-mini-4k", "",
       {.vocab_size = 32064, .hidden_size = 3072, .num_hidden_layers = 32, .num_attention_heads = 32,
        .intermediate_size = 8192, .max_position_embeddings = 4096, .rms_norm_eps = 1e-05}},
  });
  return table;
}

}  // namespace

std::optional<LlamaConfig> find_llama_preset(std::string_view name) { return find_preset(presets(), name); }

std::vector<std::string> llama_preset_names() { return preset_names(presets()); }

}  // namespace zerorun
