#include "core/models/gpt2.h"

#include <ATen/ops/gelu.h>

#include <cmath>

#include "core/error.h"
#include "core/models/attention.h"
#include "core/models/transformer.h"
#include "core/ops/dropout.h"
#include "core/ops/embedding.h"
#include "core/ops/gradient_in_forward.h"
#include "core/ops/layer_norm.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"

namespace zerorun {
namespace {

constexpr double kStddev = 0.02;
constexpr const char* kTokenWeight = "transformer.wte.weight";

// Sites: 0 the embedding, then two a block.
at::Tensor drop(at::Tensor x, double probability, const StepContext& context, uint32_t site) {
  if (context.mode != Mode::train || probability == 0) return x;
  return ops::dropout(x, probability, {context.key.seed, context.key.step, context.key.first_sample, site});
}

class Embedding final : public Unit {
 public:
  explicit Embedding(const Gpt2Config& config)
      : Unit("embedding", {{kTokenWeight, {config.vocab_size, config.hidden_size}, Init::normal(kStddev)},
                           {"transformer.wpe.weight", {config.max_position_embeddings, config.hidden_size}, Init::normal(kStddev)}}),
        dropout_(config.dropout) {}

  Carry forward(const StepContext& context, Weights weights, Carry) const override {
    return {drop(ops::embed(context.tokens, weights[0], weights[1], first_position(context), context.order), dropout_, context, 0)};
  }

  bool backward_needs_weights() const override { return false; }
  bool supports_generation() const override { return true; }
  bool gradients_come_from_ops() const override { return true; }

 private:
  double dropout_;
};

class Block final : public Unit {
 public:
  Block(const Gpt2Config& config, int64_t layer)
      : Unit(fmt::format("blocks.{}", layer), declare(config, layer)), heads_(config.num_attention_heads), eps_(config.layer_norm_eps),
        dropout_(config.dropout), site_(static_cast<uint32_t>(1 + 2 * layer)) {}

  Carry forward(const StepContext& context, Weights w, Carry carry) const override {
    auto [stream, normed] = ops::fork_layer_norm(carry[0], w[0], w[1], eps_);
    carry.clear();
    auto qkv = ops::conv1d(std::exchange(normed, {}), w[2], w[3]);
    auto mixed = attend(context, std::exchange(qkv, {}), heads_);
    auto sum = drop(ops::conv1d(std::exchange(mixed, {}), w[4], w[5]), dropout_, context, site_).add_(std::exchange(stream, {}));
    std::tie(stream, normed) = ops::fork_layer_norm(std::exchange(sum, {}), w[6], w[7], eps_);
    auto inner = at::gelu(ops::conv1d(std::exchange(normed, {}), w[8], w[9]), "tanh");
    return {drop(ops::conv1d(std::exchange(inner, {}), w[10], w[11]), dropout_, context, site_ + 1).add_(stream)};
  }

  bool supports_generation() const override { return true; }
  bool gradients_come_from_ops() const override { return true; }

 private:
  static std::vector<Parameter> declare(const Gpt2Config& config, int64_t layer) {
    const int64_t c = config.hidden_size, f = config.inner_size();
    const auto into_stream = Init::normal(kStddev / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers)));
    const auto name = [layer](const char* rest) { return fmt::format("transformer.h.{}.{}", layer, rest); };
    return {{name("ln_1.weight"), {c}, Init::ones()},
            {name("ln_1.bias"), {c}, Init::zeros()},
            {name("attn.c_attn.weight"), {c, 3 * c}, Init::normal(kStddev)},
            {name("attn.c_attn.bias"), {3 * c}, Init::zeros()},
            {name("attn.c_proj.weight"), {c, c}, into_stream},
            {name("attn.c_proj.bias"), {c}, Init::zeros()},
            {name("ln_2.weight"), {c}, Init::ones()},
            {name("ln_2.bias"), {c}, Init::zeros()},
            {name("mlp.c_fc.weight"), {c, f}, Init::normal(kStddev)},
            {name("mlp.c_fc.bias"), {f}, Init::zeros()},
            {name("mlp.c_proj.weight"), {f, c}, into_stream},
            {name("mlp.c_proj.bias"), {c}, Init::zeros()}};
  }

  int64_t heads_;
  double eps_, dropout_;
  uint32_t site_;
};

class Head final : public Unit {
 public:
  explicit Head(const Gpt2Config& config)
      : Unit("head", {{"transformer.ln_f.weight", {config.hidden_size}, Init::ones()},
                      {"transformer.ln_f.bias", {config.hidden_size}, Init::zeros()},
                      {config.tie_word_embeddings ? kTokenWeight : "lm_head.weight",
                       {config.vocab_size, config.hidden_size},
                       Init::normal(kStddev)}}),
        eps_(config.layer_norm_eps) {}

  Carry forward(const StepContext& context, Weights weights, Carry carry) const override {
    if (context.cache) return {logits_of(ops::layer_norm(last_position(carry[0]), weights[0], weights[1], eps_), weights[2])};
    return {ops::gradient_in_forward(carry[0], context.loss_scale, [&](const at::Tensor& stream) {
      const auto x = ops::layer_norm(stream, weights[0], weights[1], eps_);
      return ops::linear_cross_entropy(x.flatten(0, 1), weights[2], context.targets.flatten(), context.loss_scale);
    })};
  }

  bool backward_needs_weights() const override { return false; }
  bool supports_generation() const override { return true; }
  bool gradients_come_from_ops() const override { return true; }
  bool writes_gradients_in_forward() const override { return true; }

 private:
  double eps_;
};

void validate(const Gpt2Config& config) {
  require_positive_sizes(config);
  require_positive("intermediate_size", config.inner_size());
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    fail(ErrorKind::configuration, "model.dropout is {}, expected at least 0 and below 1", config.dropout);
  }
  if (config.hidden_size % config.num_attention_heads != 0) {
    fail(ErrorKind::configuration, "model.hidden_size {} does not divide into model.num_attention_heads {}", config.hidden_size,
         config.num_attention_heads);
  }
}

}  // namespace

Model make_gpt2(const Gpt2Config& config) {
  validate(config);
  return chain_of<Embedding, Block, Head>(config);
}

}  // namespace zerorun
