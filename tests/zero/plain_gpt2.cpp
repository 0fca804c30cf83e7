// GPT-2 once more, as one would write it with LibTorch alone.
#include <ATen/ATen.h>

#include <cmath>

#include "core/ops/dropout.h"
#include "tests/zero/plain_models.h"

namespace zerorun::testing {
namespace {

Named fresh_weights(const Gpt2Config& config) {
  const int64_t c = config.hidden_size, f = config.inner_size();
  Named weights;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, double stddev, double constant = 0) {
    weights[name] = fresh_weight(name, std::move(shape), stddev, constant);
  };
  add("transformer.wte.weight", {config.vocab_size, c}, 0.02);
  add("transformer.wpe.weight", {config.max_position_embeddings, c}, 0.02);
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const auto h = "transformer.h." + std::to_string(l) + ".";
    const double residual = 0.02 / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
    for (const char* norm : {"ln_1", "ln_2"}) {
      add(h + norm + ".weight", {c}, 0, 1);
      add(h + norm + ".bias", {c}, 0);
    }
    add(h + "attn.c_attn.weight", {c, 3 * c}, 0.02);
    add(h + "attn.c_attn.bias", {3 * c}, 0);
    add(h + "attn.c_proj.weight", {c, c}, residual);
    add(h + "attn.c_proj.bias", {c}, 0);
    add(h + "mlp.c_fc.weight", {c, f}, 0.02);
    add(h + "mlp.c_fc.bias", {f}, 0);
    add(h + "mlp.c_proj.weight", {f, c}, residual);
    add(h + "mlp.c_proj.bias", {c}, 0);
  }
  add("transformer.ln_f.weight", {c}, 0, 1);
  add("transformer.ln_f.bias", {c}, 0);
  if (!config.tie_word_embeddings) add("lm_head.weight", {config.vocab_size, c}, 0.02);
  return weights;
}

Tensor attention(const Tensor& x, const Named& w, const std::string& h, int64_t heads) {
  const int64_t b = x.size(0), t = x.size(1), c = x.size(2), d = c / heads;
  const auto qkv = at::matmul(x, w.at(h + "c_attn.weight")) + w.at(h + "c_attn.bias");
  const auto parts = qkv.split(c, -1);
  const auto shape = [&](const Tensor& part) { return part.view({b, t, heads, d}).transpose(1, 2); };
  auto scores = at::matmul(shape(parts[0]), shape(parts[1]).transpose(-1, -2)) / std::sqrt(static_cast<double>(d));
  const auto future = at::ones({t, t}, at::kBool).triu(1);
  scores = scores.masked_fill(future, -INFINITY).softmax(-1);
  const auto mixed = at::matmul(scores, shape(parts[2])).transpose(1, 2).reshape({b, t, c});
  return at::matmul(mixed, w.at(h + "c_proj.weight")) + w.at(h + "c_proj.bias");
}

Tensor loss_of(const Gpt2Config& config, const Named& w, const Batch& batch, std::optional<int64_t> step) {
  const auto drop = [&](const Tensor& x, uint32_t site) {
    if (!step) return x;
    const at::NoGradGuard no_grad;
    const auto mask = ops::dropout(at::ones_like(x), config.dropout, {42, *step, batch.first_sample, site});
    const at::AutoGradMode grad(true);
    return x * mask;
  };
  const int64_t c = config.hidden_size;
  const auto norm = [&](const Tensor& x, const std::string& name) {
    return at::layer_norm(x, {c}, w.at(name + ".weight"), w.at(name + ".bias"), config.layer_norm_eps);
  };
  auto x = at::embedding(w.at("transformer.wte.weight"), batch.tokens) + w.at("transformer.wpe.weight").narrow(0, 0, batch.tokens.size(1));
  x = drop(x, 0);
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const auto h = "transformer.h." + std::to_string(l) + ".";
    const auto site = static_cast<uint32_t>(1 + 2 * l);
    x = x + drop(attention(norm(x, h + "ln_1"), w, h + "attn.", config.num_attention_heads), site);
    const auto inner = at::gelu(at::matmul(norm(x, h + "ln_2"), w.at(h + "mlp.c_fc.weight")) + w.at(h + "mlp.c_fc.bias"), "tanh");
    x = x + drop(at::matmul(inner, w.at(h + "mlp.c_proj.weight")) + w.at(h + "mlp.c_proj.bias"), site + 1);
  }
  const auto& head = w.at(config.tie_word_embeddings ? "transformer.wte.weight" : "lm_head.weight");
  const auto logits = at::matmul(norm(x, "transformer.ln_f"), head.t());
  return at::cross_entropy_loss(logits.flatten(0, 1), batch.targets.flatten());
}

}  // namespace

PlainModel plain_gpt2(const Gpt2Config& config) {
  return {fresh_weights(config), [config](const Named& weights, const Batch& batch, std::optional<int64_t> step) { return loss_of(config, weights, batch, step); }};
}

}  // namespace zerorun::testing
