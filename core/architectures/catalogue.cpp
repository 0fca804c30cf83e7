#include "core/architectures/catalogue.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <ranges>

#include "core/architectures/decoder.h"
#include "core/architectures/internvl.h"
#include "core/architectures/opt.h"
#include "core/architectures/trained.h"
#include "core/models/llama_presets.h"
#include "core/models/presets.h"

namespace zerorun {
namespace {

struct Entry {
  std::string_view name;
  std::vector<std::string_view> aliases;
  std::function<Architecture(std::string)> make;
};

Entry opt(std::string_view name, int64_t layers, int64_t hidden, int64_t heads) {
  const OptConfig config{.hidden_size = hidden, .layers = layers, .heads = heads, .inner = 4 * hidden};
  return {name, {}, [config](std::string own_name) { return make_opt(config, std::move(own_name)); }};
}

// As the benchmark of ZO2 (Wang et al. 2025) builds them: the sizes of OPT, a head of its own, and no exception for 350M.
Entry zo2_opt(std::string_view name, int64_t layers, int64_t hidden, int64_t heads) {
  const OptConfig config{.hidden_size = hidden, .layers = layers, .heads = heads, .inner = 4 * hidden, .tied = false};
  return {name, {}, [config](std::string own_name) { return make_opt(config, std::move(own_name)); }};
}

Entry opt_350m() {
  const OptConfig config{.hidden_size = 1024, .layers = 24, .heads = 16, .inner = 4096, .embedding_size = 512, .final_norm = false};
  return {"opt-350m", {}, [config](std::string own_name) { return make_opt(config, std::move(own_name)); }};
}

Entry decoder(std::string_view name, std::vector<std::string_view> aliases, const DecoderConfig& config) {
  return {name, std::move(aliases), [config](std::string own_name) { return make_decoder(config, std::move(own_name)); }};
}

DecoderConfig internlm2(int64_t hidden, int64_t layers, int64_t inner, int64_t heads) {
  return {.family = "internlm2", .vocab_size = 92553, .hidden_size = hidden, .layers = layers, .heads = heads, .key_value_heads = 8, .head_dim = 128, .inner = inner,
          .positions = 32768};
}

DecoderConfig qwen2_5_3b() {
  return {.family = "qwen2", .vocab_size = 151674, .hidden_size = 2048, .layers = 36, .heads = 16, .key_value_heads = 2, .head_dim = 128, .inner = 11008, .positions = 32768,
          .qkv_bias = true};
}

InternVitConfig vit_6b() { return {.hidden_size = 3200, .layers = 45, .heads = 25, .inner = 12800, .qkv_bias = false, .normed_queries = true, .layer_norms = false}; }

Entry internvl(std::string_view name, std::vector<std::string_view> aliases, const InternVitConfig& vision, const DecoderConfig& language) {
  const InternVlConfig config{.vision = vision, .language = language};
  return {name, std::move(aliases), [config](std::string own_name) { return make_internvl(config, std::move(own_name)); }};
}

const std::vector<Entry>& estimated_only() {
  static const std::vector<Entry> entries{
      opt("opt-125m", 12, 768, 12), opt_350m(), opt("opt-1.3b", 24, 2048, 32), opt("opt-2.7b", 32, 2560, 32), opt("opt-6.7b", 32, 4096, 32),
      opt("opt-13b", 40, 5120, 40), opt("opt-30b", 48, 7168, 56), opt("opt-66b", 64, 9216, 72), opt("opt-175b", 96, 12288, 96),
      zo2_opt("zo2-bench-opt-125m", 12, 768, 12), zo2_opt("zo2-bench-opt-350m", 24, 1024, 16), zo2_opt("zo2-bench-opt-1.3b", 24, 2048, 32),
      zo2_opt("zo2-bench-opt-2.7b", 32, 2560, 32), zo2_opt("zo2-bench-opt-6.7b", 32, 4096, 32), zo2_opt("zo2-bench-opt-13b", 40, 5120, 40),
      zo2_opt("zo2-bench-opt-30b", 48, 7168, 56), zo2_opt("zo2-bench-opt-66b", 64, 9216, 72), zo2_opt("zo2-bench-opt-175b", 96, 12288, 96),
      decoder("mixtral-8x22b", {"mixtral", "8x22b"},
              {.family = "mixtral", .vocab_size = 32000, .hidden_size = 6144, .layers = 56, .heads = 48, .key_value_heads = 8, .head_dim = 128, .inner = 16384,
               .positions = 65536, .experts = 8, .experts_of_token = 2}),
      decoder("command-r-plus", {"command-r+"},
              {.family = "cohere", .vocab_size = 256000, .hidden_size = 12288, .layers = 64, .heads = 96, .key_value_heads = 8, .head_dim = 128, .inner = 33792,
               .positions = 131072, .tied = true, .normed_heads = true}),
      internvl("internvl2_5-2b-mpo", {"internvl2_5-2b"}, {}, internlm2(2048, 24, 8192, 16)),
      internvl("internvl2_5-4b-mpo", {"internvl2_5-4b"}, {}, qwen2_5_3b()),
      internvl("internvl2_5-8b-mpo", {"internvl2_5-8b"}, {}, internlm2(4096, 32, 14336, 32)),
      internvl("internvl2_5-26b-mpo", {"internvl2_5-26b"}, vit_6b(), internlm2(6144, 48, 16384, 48)),
  };
  return entries;
}

constexpr std::pair<std::string_view, std::string_view> kMoreAliases[] = {{"phi3", "phi-3-mini-4k"}, {"phi-3-mini", "phi-3-mini-4k"}};

std::string in_lower_case(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const auto& [alias, own_name] : kMoreAliases) {
    if (lower == alias) return std::string(own_name);
  }
  return lower;
}

const Entry* find_estimated_only(std::string_view lower) {
  const auto found = std::ranges::find_if(estimated_only(), [&](const auto& entry) { return entry.name == lower || std::ranges::find(entry.aliases, lower) != entry.aliases.end(); });
  return found == estimated_only().end() ? nullptr : &*found;
}

}  // namespace

std::optional<Architecture> find_architecture(std::string_view name) {
  const std::string lower = in_lower_case(name);
  if (const auto config = find_llama_preset(lower)) return make_trained(*config, lower);
  if (const auto config = find_gpt2_preset(lower)) return make_trained(*config, lower);
  if (const Entry* entry = find_estimated_only(lower)) return entry->make(std::string(entry->name));
  return std::nullopt;
}

std::vector<std::string> architecture_names() {
  auto names = llama_preset_names();
  std::ranges::copy(gpt2_preset_names(), std::back_inserter(names));
  for (const auto& entry : estimated_only()) {
    names.emplace_back(entry.name);
    names.insert(names.end(), entry.aliases.begin(), entry.aliases.end());
  }
  for (const auto& [alias, own_name] : kMoreAliases) names.emplace_back(alias);
  return names;
}

bool is_for_estimates_only(std::string_view name) { return find_estimated_only(in_lower_case(name)) != nullptr; }

}  // namespace zerorun
