#include "core/architectures/trained.h"

namespace zerorun {
namespace {

BlockStack blocks_of(const Gpt2Config& config) {
  return {.layers = config.num_hidden_layers, .hidden = config.hidden_size, .heads = config.num_attention_heads, .key_value_heads = config.num_attention_heads,
          .head_dim = config.hidden_size / config.num_attention_heads, .inner = config.inner_size()};
}

BlockStack blocks_of(const LlamaConfig& config) {
  return {.layers = config.num_hidden_layers, .hidden = config.hidden_size, .heads = config.num_attention_heads, .key_value_heads = config.key_value_heads(),
          .head_dim = config.width_of_head(), .inner = config.intermediate_size, .gated = true};
}

}  // namespace

Architecture make_trained(const ModelConfig& config, std::string name) {
  Architecture architecture;
  architecture.name = std::move(name);
  architecture.family = family_of(config);
  architecture.model = std::make_shared<const Model>(make_model(config));
  std::visit(
      [&](const auto& model) {
        architecture.blocks = blocks_of(model);
        architecture.vocab_size = model.vocab_size;
        architecture.positions = model.max_position_embeddings;
      },
      config);
  count_parameters(architecture);
  return architecture;
}

}  // namespace zerorun
