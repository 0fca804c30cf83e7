#include "core/architectures/opt.h"

#include <fmt/format.h>

#include "core/architectures/declaration.h"

namespace zerorun {
namespace {

constexpr const char* kTokenWeight = "embed_tokens.weight";
constexpr int64_t kMorePositions = 2;  // rows of the table that stand for no position

void declare_block(const OptConfig& config, int64_t layer, Declaration& declaration) {
  const int64_t hidden = config.hidden_size;
  const std::string block = fmt::format("layers.{}.", layer);
  declaration.unit(fmt::format("blocks.{}", layer));
  for (const char* name : {"k_proj", "v_proj", "q_proj", "out_proj"}) declaration.add_linear(block + "self_attn." + name, hidden, hidden, config.biases);
  declaration.add_norm(block + "self_attn_layer_norm", hidden, true);
  declaration.add_linear(block + "fc1", config.inner, hidden, config.biases);
  declaration.add_linear(block + "fc2", hidden, config.inner, config.biases);
  declaration.add_norm(block + "final_layer_norm", hidden, true);
}

}  // namespace

Architecture make_opt(const OptConfig& config, std::string name) {
  using Backward = Declaration::Backward;
  const int64_t hidden = config.hidden_size, width = config.embedding_size ? config.embedding_size : hidden;
  Declaration declaration;
  declaration.prefix = "model.decoder.";
  declaration.unit("embedding", Backward::does_without);
  declaration.add(kTokenWeight, {config.vocab_size, width});
  declaration.add("embed_positions.weight", {config.positions + kMorePositions, hidden});
  if (width != hidden) declaration.add_linear("project_in", hidden, width, false);
  for (int64_t layer = 0; layer < config.layers; ++layer) declare_block(config, layer, declaration);
  declaration.unit("head", Backward::done_in_forward);
  if (config.final_norm) declaration.add_norm("final_layer_norm", hidden, true);
  if (width != hidden) declaration.add_linear("project_out", width, hidden, false);
  if (!config.tied) declaration.prefix.clear();
  declaration.add(config.tied ? kTokenWeight : "lm_head.weight", {config.vocab_size, width});

  Architecture architecture;
  architecture.name = std::move(name);
  architecture.family = "opt";
  architecture.not_trained = "its family is opt";
  architecture.model = declaration.model();
  architecture.blocks = {.layers = config.layers, .hidden = hidden, .heads = config.heads, .key_value_heads = config.heads, .head_dim = hidden / config.heads,
                         .inner = config.inner};
  architecture.vocab_size = config.vocab_size;
  architecture.positions = config.positions;
  count_parameters(architecture);
  return architecture;
}

}  // namespace zerorun
