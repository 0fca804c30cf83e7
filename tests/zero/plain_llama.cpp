// LLaMA once more, as one would write it with LibTorch alone: with rotate_half, and keys and values repeated for their heads.
#include <ATen/ATen.h>

#include <cmath>

#include "tests/zero/plain_models.h"

namespace zerorun::testing {
namespace {

Named fresh_weights(const LlamaConfig& config) {
  const int64_t c = config.hidden_size, f = config.intermediate_size, d = config.width_of_head();
  const int64_t q = config.num_attention_heads * d, kv = config.key_value_heads() * d;
  Named weights;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    const bool norm = shape.size() == 1;
    weights[name] = fresh_weight(name, std::move(shape), norm ? 0 : 0.02, norm ? 1 : 0);
  };
  add("model.embed_tokens.weight", {config.vocab_size, c});
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const auto h = "model.layers." + std::to_string(l) + ".";
    add(h + "input_layernorm.weight", {c});
    add(h + "self_attn.q_proj.weight", {q, c});
    add(h + "self_attn.k_proj.weight", {kv, c});
    add(h + "self_attn.v_proj.weight", {kv, c});
    add(h + "self_attn.o_proj.weight", {c, q});
    add(h + "post_attention_layernorm.weight", {c});
    add(h + "mlp.gate_proj.weight", {f, c});
    add(h + "mlp.up_proj.weight", {f, c});
    add(h + "mlp.down_proj.weight", {c, f});
  }
  add("model.norm.weight", {c});
  if (!config.tie_word_embeddings) add("lm_head.weight", {config.vocab_size, c});
  return weights;
}

Tensor norm(const Tensor& x, const Tensor& weight, double eps) { return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight; }

// x [B, H, T, D].
Tensor rotate(const Tensor& x, double theta) {
  const int64_t t = x.size(2), d = x.size(3);
  const auto frequency = at::pow(theta, at::arange(0, d, 2, at::kDouble) / -static_cast<double>(d));
  const auto half = at::outer(at::arange(t, at::kDouble), frequency);
  const auto angle = at::cat({half, half}, -1);
  const auto halves = x.chunk(2, -1);
  return x * angle.cos().to(at::kFloat) + at::cat({-halves[1], halves[0]}, -1) * angle.sin().to(at::kFloat);
}

Tensor attention(const LlamaConfig& config, const Tensor& x, const Named& w, const std::string& h) {
  const int64_t b = x.size(0), t = x.size(1), d = config.width_of_head();
  const auto heads = [&](const char* name) { return at::linear(x, w.at(h + name)).view({b, t, -1, d}).transpose(1, 2); };
  const int64_t shared = config.num_attention_heads / config.key_value_heads();
  const auto q = rotate(heads("self_attn.q_proj.weight"), config.rope_theta);
  const auto k = rotate(heads("self_attn.k_proj.weight"), config.rope_theta).repeat_interleave(shared, 1);
  const auto v = heads("self_attn.v_proj.weight").repeat_interleave(shared, 1);
  auto scores = at::matmul(q, k.transpose(-1, -2)) / std::sqrt(static_cast<double>(d));
  scores = scores.masked_fill(at::ones({t, t}, at::kBool).triu(1), -INFINITY).softmax(-1);
  return at::linear(at::matmul(scores, v).transpose(1, 2).reshape({b, t, -1}), w.at(h + "self_attn.o_proj.weight"));
}

Tensor loss_of(const LlamaConfig& config, const Named& w, const Batch& batch) {
  auto x = at::embedding(w.at("model.embed_tokens.weight"), batch.tokens);
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const auto h = "model.layers." + std::to_string(l) + ".";
    x = x + attention(config, norm(x, w.at(h + "input_layernorm.weight"), config.rms_norm_eps), w, h);
    const auto y = norm(x, w.at(h + "post_attention_layernorm.weight"), config.rms_norm_eps);
    const auto inner = at::silu(at::linear(y, w.at(h + "mlp.gate_proj.weight"))) * at::linear(y, w.at(h + "mlp.up_proj.weight"));
    x = x + at::linear(inner, w.at(h + "mlp.down_proj.weight"));
  }
  const auto& head = w.at(config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  const auto logits = at::linear(norm(x, w.at("model.norm.weight"), config.rms_norm_eps), head);
  return at::cross_entropy_loss(logits.flatten(0, 1), batch.targets.flatten());
}

}  // namespace

PlainModel plain_llama(const LlamaConfig& config) {
  return {fresh_weights(config), [config](const Named& weights, const Batch& batch, std::optional<int64_t>) { return loss_of(config, weights, batch); }};
}

}  // namespace zerorun::testing
