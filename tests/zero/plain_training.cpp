// GPT-2 once more, as one would write it with LibTorch alone: the oracle of the engine's tests.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "core/random.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

using at::Tensor;
using Named = std::map<std::string, Tensor>;

Tensor fresh(const std::string& name, std::vector<int64_t> shape, double stddev, double constant) {
  auto tensor = at::full(shape, constant, at::kFloat);
  if (stddev > 0) fill_normal(tensor.data_ptr<float>(), 0, tensor.numel(), 42, stream_of(name), static_cast<float>(stddev));
  return tensor.requires_grad_();
}

Named fresh_weights(const Gpt2Config& config) {
  const int64_t c = config.hidden_size, f = config.inner_size();
  Named weights;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, double stddev, double constant = 0) {
    weights[name] = fresh(name, std::move(shape), stddev, constant);
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

Tensor loss_of(const Gpt2Config& config, const Named& w, const Batch& batch) {
  const int64_t c = config.hidden_size;
  const auto norm = [&](const Tensor& x, const std::string& name) {
    return at::layer_norm(x, {c}, w.at(name + ".weight"), w.at(name + ".bias"), config.layer_norm_eps);
  };
  auto x = at::embedding(w.at("transformer.wte.weight"), batch.tokens) + w.at("transformer.wpe.weight").narrow(0, 0, batch.tokens.size(1));
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const auto h = "transformer.h." + std::to_string(l) + ".";
    x = x + attention(norm(x, h + "ln_1"), w, h + "attn.", config.num_attention_heads);
    const auto inner = at::gelu(at::matmul(norm(x, h + "ln_2"), w.at(h + "mlp.c_fc.weight")) + w.at(h + "mlp.c_fc.bias"), "tanh");
    x = x + at::matmul(inner, w.at(h + "mlp.c_proj.weight")) + w.at(h + "mlp.c_proj.bias");
  }
  const auto& head = w.at(config.tie_word_embeddings ? "transformer.wte.weight" : "lm_head.weight");
  const auto logits = at::matmul(norm(x, "transformer.ln_f"), head.t());
  return at::cross_entropy_loss(logits.flatten(0, 1), batch.targets.flatten());
}

class PlainOptimizer {
 public:
  PlainOptimizer(const Named& weights, bool sgd) : sgd_(sgd) {
    for (const auto& [name, weight] : weights) {
      first_[name] = at::zeros_like(weight);
      second_[name] = at::zeros_like(weight);
    }
  }

  void step(Named& weights, double lr) {
    const at::NoGradGuard no_grad;
    const auto count = at::full({}, static_cast<double>(++steps_), at::kFloat);
    for (auto& [name, weight] : weights) {
      const double decay = weight.dim() >= 2 ? 0.1 : 0;
      if (sgd_) {
        first_[name].mul_(0.9).add_(weight.grad() + decay * weight);
        weight.sub_(lr * first_[name]);
      } else {
        at::_fused_adamw_({weight}, {weight.grad()}, {first_[name]}, {second_[name]}, {}, {count}, lr, 0.9, 0.95, decay, 1e-8, false, false);
      }
    }
  }

 private:
  bool sgd_;
  int64_t steps_ = 0;
  Named first_, second_;
};

std::map<std::string, std::vector<float>> copy(const Named& weights, bool gradients) {
  std::map<std::string, std::vector<float>> values;
  for (const auto& [name, weight] : weights) {
    const auto flat = (gradients ? weight.grad() : weight).contiguous();
    values[name] = {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
  }
  return values;
}

double clip(const Named& weights, double max_norm) {
  double squares = 0;
  for (const auto& [name, weight] : weights) squares += weight.grad().to(at::kDouble).square().sum().item<double>();
  const double norm = std::sqrt(squares);
  if (max_norm > 0) {
    for (const auto& [name, weight] : weights) weight.grad().mul_(std::min(1.0, max_norm / (norm + 1e-6)));
  }
  return norm;
}

}  // namespace

TrainingResult train_plainly(const TrainingCase& test) {
  auto weights = fresh_weights(test.config);
  PlainOptimizer optimizer(weights, test.sgd);
  const CountedBatches batches(test.config.vocab_size, test.seq_len, test.global_batch_size, test.validation_windows);
  TrainingResult result;
  for (int64_t step = 0; step < test.steps; ++step) {
    for (auto& [name, weight] : weights) weight.mutable_grad() = Tensor();
    const auto loss = loss_of(test.config, weights, batches.train(step, 0, test.global_batch_size));
    torch::autograd::backward({loss}, {});
    result.losses.push_back(loss.item<double>());
    result.gradients.push_back(copy(weights, true));
    result.norms.push_back(clip(weights, test.max_norm));
    optimizer.step(weights, test.lr);
  }
  const at::NoGradGuard no_grad;
  result.validation_loss = loss_of(test.config, weights, batches.validation(0, test.validation_windows)).item<double>();
  result.weights = copy(weights, false);
  return result;
}

}  // namespace zerorun::testing
