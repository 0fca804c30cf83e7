#include "core/models/presets.h"

#include "core/models/preset_table.h"

namespace zerorun {
namespace {

Gpt2Config small() { return {.hidden_size = 768, .num_hidden_layers = 12, .num_attention_heads = 12}; }
Gpt2Config medium() { return {.hidden_size = 1024, .num_hidden_layers = 24, .num_attention_heads = 16}; }
Gpt2Config large() { return {.hidden_size = 1280, .num_hidden_layers = 36, .num_attention_heads = 20}; }
Gpt2Config xl() { return {.hidden_size = 1600, .num_hidden_layers = 48, .num_attention_heads = 25}; }

Gpt2Config untied(Gpt2Config config) {
  config.tie_word_embeddings = false;
  return config;
}

// minGPT's demonstration: three symbols to sort, five in, six out.
Gpt2Config sort(Gpt2Config config) {
  config.vocab_size = 3;
  config.max_position_embeddings = 11;
  return config;
}

const std::vector<Preset<Gpt2Config>>& presets() {
  static const std::vector<Preset<Gpt2Config>> table = {
      {"gpt2", small()},
      {"124m", small()},
      {"gpt2-medium", medium()},
      {"355m", medium()},
      {"gpt2-large", large()},
      {"774m", large()},
      {"gpt2-xl", xl()},
      {"1.5b", xl()},
      {"mingpt-gpt2", untied(small())},
      {"mingpt-gpt2-medium", untied(medium())},
      {"mingpt-gpt2-large", untied(large())},
      {"mingpt-gpt2-xl", untied(xl())},
      {"mingpt-gpt2-large-sort", sort(untied(large()))},
  };
  return table;
}

}  // namespace

std::optional<Gpt2Config> find_gpt2_preset(std::string_view name) { return find_preset(presets(), name); }

std::vector<std::string> gpt2_preset_names() { return preset_names(presets()); }

}  // namespace zerorun
