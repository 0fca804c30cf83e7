#include "core/architectures/decoder.h"

#include "core/architectures/declaration.h"
#include "core/error.h"

namespace zerorun {
namespace {

// The names that differ between families.
struct Names {
  const char *embedding, *attention, *output, *feed_forward, *gate, *up, *down, *first_norm, *second_norm, *head;
};
constexpr Names kNames{"model.embed_tokens.weight", "self_attn.", "o_proj", "mlp.", "gate_proj", "up_proj", "down_proj", "input_layernorm", "post_attention_layernorm", "lm_head.weight"};
constexpr Names kInternLm2Names{"model.tok_embeddings.weight", "attention.", "wo", "feed_forward.", "w1", "w3", "w2", "attention_norm", "ffn_norm", "output.weight"};

const Names& names_of(const std::string& family) { return family == "internlm2" ? kInternLm2Names : kNames; }

void declare_attention(const DecoderConfig& config, const std::string& block, Declaration& declaration) {
  const Names& names = names_of(config.family);
  const int64_t hidden = config.hidden_size, queries = config.heads * config.head_dim, keys = config.key_value_heads * config.head_dim;
  const std::string attention = block + names.attention;
  if (config.family == "internlm2" || config.family == "phi3") {
    declaration.add_linear(attention + (config.family == "phi3" ? "qkv_proj" : "wqkv"), queries + 2 * keys, hidden, config.qkv_bias);
  } else {
    declaration.add_linear(attention + "q_proj", queries, hidden, config.qkv_bias);
    for (const char* name : {"k_proj", "v_proj"}) declaration.add_linear(attention + name, keys, hidden, config.qkv_bias);
  }
  if (config.normed_heads) {
    declaration.add(attention + "q_norm.weight", {config.heads, config.head_dim});
    declaration.add(attention + "k_norm.weight", {config.key_value_heads, config.head_dim});
  }
  declaration.add_linear(attention + names.output, hidden, queries, config.output_bias);
}

void declare_feed_forward(const DecoderConfig& config, const std::string& block, Declaration& declaration) {
  const Names& names = names_of(config.family);
  const int64_t hidden = config.hidden_size, inner = config.inner;
  if (config.family == "mixtral") {
    const std::string moe = block + "block_sparse_moe.";
    declaration.add_linear(moe + "gate", config.experts, hidden, false);
    for (int64_t expert = 0; expert < config.experts; ++expert) {
      const std::string prefix = fmt::format("{}experts.{}.", moe, expert);
      for (const char* name : {"w1", "w3"}) declaration.add_linear(prefix + name, inner, hidden, false);
      declaration.add_linear(prefix + "w2", hidden, inner, false);
    }
    return;
  }
  const std::string feed_forward = block + names.feed_forward;
  if (config.family == "phi3") {
    declaration.add_linear(feed_forward + "gate_up_proj", 2 * inner, hidden, false);
  } else {
    for (const char* name : {names.gate, names.up}) declaration.add_linear(feed_forward + name, inner, hidden, config.mlp_bias);
  }
  declaration.add_linear(feed_forward + names.down, hidden, inner, config.mlp_bias);
}

}  // namespace

BlockStack blocks_of(const DecoderConfig& config) {
  return {.layers = config.layers, .hidden = config.hidden_size, .heads = config.heads, .key_value_heads = config.key_value_heads, .head_dim = config.head_dim,
          .inner = config.inner, .gated = true, .experts = config.experts, .experts_of_token = config.experts_of_token};
}

void declare_decoder(const DecoderConfig& config, Declaration& declaration) {
  using Backward = Declaration::Backward;
  const Names& names = names_of(config.family);
  declaration.unit("embedding", Backward::does_without);
  declaration.add(names.embedding, {config.vocab_size, config.hidden_size});
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    declaration.unit(fmt::format("blocks.{}", layer));
    const std::string block = fmt::format("model.layers.{}.", layer);
    declaration.add_norm(block + names.first_norm, config.hidden_size, false);
    declare_attention(config, block, declaration);
    if (config.family != "cohere") declaration.add_norm(block + names.second_norm, config.hidden_size, false);  // cohere: one norm for both halves
    declare_feed_forward(config, block, declaration);
  }
  declaration.unit("head", Backward::done_in_forward);
  declaration.add_norm("model.norm", config.hidden_size, false);
  declaration.add(config.tied ? names.embedding : names.head, {config.vocab_size, config.hidden_size});
}

Architecture make_decoder(const DecoderConfig& config, std::string name) {
  Declaration declaration;
  declare_decoder(config, declaration);
  Architecture architecture;
  architecture.name = std::move(name);
  architecture.family = config.family;
  architecture.not_trained = fmt::format("its family is {}", config.family);
  architecture.model = declaration.model();
  architecture.blocks = blocks_of(config);
  architecture.vocab_size = config.vocab_size;
  architecture.positions = config.positions;
  count_parameters(architecture);
  return architecture;
}

}  // namespace zerorun
