#include "launcher/pretrained.h"

#include "core/error.h"

namespace zerorun {
namespace {

// One key after the other: what is set must be what the folder holds, and what is not becomes that.
class Settler {
 public:
  explicit Settler(Settings& settings) : settings_(settings), source_(*settings.model.hf_path + "/config.json") {}

  template <typename Value>
  void settle(const char* name, std::optional<Value>& key, Value held) {
    if (key && *key != held) fail(ErrorKind::configuration, "{} is {}, but {} says {}", shown(name), *key, source_, held);
    take(name, key, held);
  }

  void family(Settings::Family held, std::string_view held_name) {
    auto& family = settings_.model.family;
    if (is_set("family") && family != held) {
      fail(ErrorKind::configuration, "{} is {}, but {} says {}", shown("family"), family == Settings::Family::llama ? "llama" : "gpt2", source_,
           held_name);
    }
    take("family", family, held);
  }

  // A choice of the training, not of the model: what is set holds.
  template <typename Value>
  void prefer(const char* name, std::optional<Value>& key, Value held) {
    if (!key) take(name, key, held);
  }

  template <typename Value>
  void refuse(const char* name, const std::optional<Value>& key, std::string_view held_family) const {
    if (key) fail(ErrorKind::configuration, "{} is {}, but {} holds a {}, which has no such key", shown(name), *key, source_, held_family);
  }

 private:
  static std::string key_of(const char* name) { return fmt::format("model.{}", name); }
  bool is_set(const char* name) const {
    const auto origin = settings_.origins.find(key_of(name));
    return origin != settings_.origins.end() && origin->second != "default";
  }
  std::string shown(const char* name) const {
    return is_set(name) ? fmt::format("{}: {}", settings_.origins.at(key_of(name)), key_of(name)) : key_of(name);
  }
  template <typename Key, typename Value>
  void take(const char* name, Key& key, const Value& held) {
    if (!is_set(name)) settings_.origins[key_of(name)] = source_;
    key = held;
  }

  Settings& settings_;
  std::string source_;
};

template <typename Config>
void settle_common(Settler& settler, Settings::Model& model, const Config& config) {
  settler.settle("vocab_size", model.vocab_size, config.vocab_size);
  settler.settle("hidden_size", model.hidden_size, config.hidden_size);
  settler.settle("num_hidden_layers", model.num_hidden_layers, config.num_hidden_layers);
  settler.settle("num_attention_heads", model.num_attention_heads, config.num_attention_heads);
  settler.settle("max_position_embeddings", model.max_position_embeddings, config.max_position_embeddings);
  settler.settle("tie_word_embeddings", model.tie_word_embeddings, config.tie_word_embeddings);
}

void settle_family(Settler& settler, Settings::Model& model, const Gpt2Config& config) {
  settler.family(Settings::Family::gpt2, "gpt2");
  settle_common(settler, model, config);
  settler.settle("intermediate_size", model.intermediate_size, config.inner_size());
  settler.settle("layer_norm_eps", model.layer_norm_eps, config.layer_norm_eps);
  settler.prefer("dropout", model.dropout, config.dropout);
  settler.refuse("num_key_value_heads", model.num_key_value_heads, "gpt2");
  settler.refuse("head_dim", model.head_dim, "gpt2");
  settler.refuse("rms_norm_eps", model.rms_norm_eps, "gpt2");
  settler.refuse("rope_theta", model.rope_theta, "gpt2");
}

void settle_family(Settler& settler, Settings::Model& model, const LlamaConfig& config) {
  settler.family(Settings::Family::llama, "llama");
  settle_common(settler, model, config);
  settler.settle("intermediate_size", model.intermediate_size, config.intermediate_size);
  settler.settle("num_key_value_heads", model.num_key_value_heads, config.key_value_heads());
  settler.settle("head_dim", model.head_dim, config.width_of_head());
  settler.settle("rms_norm_eps", model.rms_norm_eps, config.rms_norm_eps);
  settler.settle("rope_theta", model.rope_theta, config.rope_theta);
  settler.refuse("layer_norm_eps", model.layer_norm_eps, "llama");
  settler.refuse("dropout", model.dropout, "llama");
}

}  // namespace

void settle_model(Settings& settings) {
  if (!settings.model.hf_path) return;
  const auto config = read_hf_config(*settings.model.hf_path);
  Settler settler(settings);
  std::visit([&](const auto& model) { settle_family(settler, settings.model, model); }, config.model);
}

std::unique_ptr<HfFolder> open_pretrained(const Settings& settings) {
  return settings.model.hf_path ? std::make_unique<HfFolder>(*settings.model.hf_path) : nullptr;
}

}  // namespace zerorun
