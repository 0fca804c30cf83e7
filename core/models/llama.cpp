#include "core/models/llama.h"

#include "core/error.h"
#include "core/models/attention.h"
#include "core/models/transformer.h"
#include "core/ops/embedding.h"
#include "core/ops/gradient_in_forward.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/rms_norm.h"
#include "core/ops/rotary.h"
#include "core/ops/swiglu.h"

namespace zerorun {
namespace {

constexpr double kStddev = 0.02;
constexpr const char* kTokenWeight = "model.embed_tokens.weight";

class Embedding final : public Unit {
 public:
  explicit Embedding(const LlamaConfig& config)
      : Unit("embedding", {{kTokenWeight, {config.vocab_size, config.hidden_size}, Init::normal(kStddev)}}) {}

  Carry forward(const StepContext& context, Weights weights, Carry) const override { return {ops::embed(context.tokens, weights[0], {}, 0, context.order)}; }

  bool backward_needs_weights() const override { return false; }
  bool supports_generation() const override { return true; }
  bool gradients_come_from_ops() const override { return true; }
};

class Block final : public Unit {
 public:
  Block(const LlamaConfig& config, int64_t layer)
      : Unit(fmt::format("blocks.{}", layer), declare(config, layer)),
        head_dim_(config.width_of_head()),
        eps_(config.rms_norm_eps),
        theta_(config.rope_theta) {}

  Carry forward(const StepContext& context, Weights w, Carry carry) const override {
    auto [stream, normed] = ops::fork_rms_norm(carry[0], w[0], eps_);
    carry.clear();
    auto qkv = ops::linears(std::exchange(normed, {}), {w[1], w[2], w[3]});
    for (const int turned : {0, 1}) qkv[turned] = ops::rotary(std::exchange(qkv[turned], {}), head_dim_, theta_, first_position(context));
    auto mixed = attend(context, qkv[0], qkv[1], qkv[2], head_dim_);
    qkv.clear();
    auto sum = ops::linear(std::exchange(mixed, {}), w[4]).add_(std::exchange(stream, {}));
    std::tie(stream, normed) = ops::fork_rms_norm(std::exchange(sum, {}), w[5], eps_);
    auto gate_up = ops::linears(std::exchange(normed, {}), {w[6], w[7]});
    auto inner = ops::swiglu(std::exchange(gate_up[0], {}), std::exchange(gate_up[1], {}));
    return {ops::linear(std::exchange(inner, {}), w[8]).add_(stream)};
  }

  bool supports_generation() const override { return true; }
  bool gradients_come_from_ops() const override { return true; }

 private:
  static std::vector<Parameter> declare(const LlamaConfig& config, int64_t layer) {
    const int64_t c = config.hidden_size, f = config.intermediate_size, d = config.width_of_head();
    const int64_t q = config.num_attention_heads * d, kv = config.key_value_heads() * d;
    const auto name = [layer](const char* rest) { return fmt::format("model.layers.{}.{}.weight", layer, rest); };
    const auto normal = Init::normal(kStddev);
    return {{name("input_layernorm"), {c}, Init::ones()}, {name("self_attn.q_proj"), {q, c}, normal},
            {name("self_attn.k_proj"), {kv, c}, normal},  {name("self_attn.v_proj"), {kv, c}, normal},
            {name("self_attn.o_proj"), {c, q}, normal},   {name("post_attention_layernorm"), {c}, Init::ones()},
            {name("mlp.gate_proj"), {f, c}, normal},      {name("mlp.up_proj"), {f, c}, normal},
            {name("mlp.down_proj"), {c, f}, normal}};
  }

  int64_t head_dim_;
  double eps_, theta_;
};

class Head final : public Unit {
 public:
  explicit Head(const LlamaConfig& config)
      : Unit("head", {{"model.norm.weight", {config.hidden_size}, Init::ones()},
                      {config.tie_word_embeddings ? kTokenWeight : "lm_head.weight",
                       {config.vocab_size, config.hidden_size},
                       Init::normal(kStddev)}}),
        eps_(config.rms_norm_eps) {}

  Carry forward(const StepContext& context, Weights weights, Carry carry) const override {
    if (context.cache) return {logits_of(ops::rms_norm(last_position(carry[0]), weights[0], eps_), weights[1])};
    return {ops::gradient_in_forward(carry[0], context.loss_scale, [&](const at::Tensor& stream) {
      const auto x = ops::rms_norm(stream, weights[0], eps_);
      return ops::linear_cross_entropy(x.flatten(0, 1), weights[1], context.targets.flatten(), context.loss_scale);
    })};
  }

  bool backward_needs_weights() const override { return false; }
  bool supports_generation() const override { return true; }
  bool gradients_come_from_ops() const override { return true; }
  bool writes_gradients_in_forward() const override { return true; }

 private:
  double eps_;
};

void validate(const LlamaConfig& config) {
  require_positive_sizes(config);
  require_positive("num_key_value_heads", config.key_value_heads());
  require_positive("intermediate_size", config.intermediate_size);
  if (!config.head_dim && config.hidden_size % config.num_attention_heads != 0) {
    fail(ErrorKind::configuration, "model.hidden_size {} is no multiple of model.num_attention_heads {}, and model.head_dim is not set",
         config.hidden_size, config.num_attention_heads);
  }
  require_positive("head_dim", config.width_of_head());
  if (config.width_of_head() % 2 != 0) fail(ErrorKind::configuration, "model.head_dim is {}, expected an even number", config.width_of_head());
  if (config.num_attention_heads % config.key_value_heads() != 0) {
    fail(ErrorKind::configuration, "model.num_attention_heads {} is no multiple of model.num_key_value_heads {}", config.num_attention_heads,
         config.key_value_heads());
  }
}

}  // namespace

Model make_llama(const LlamaConfig& config) {
  validate(config);
  return chain_of<Embedding, Block, Head>(config);
}

}  // namespace zerorun
