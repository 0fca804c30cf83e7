// The plain loop: one autograd graph over the whole model, torch's optimizers.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "core/random.h"
#include "tests/zero/plain_models.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

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

Tensor fresh_weight(const std::string& name, std::vector<int64_t> shape, double stddev, double constant) {
  auto tensor = at::full(shape, constant, at::kFloat);
  if (stddev > 0) fill_normal(tensor.data_ptr<float>(), 0, tensor.numel(), 42, stream_of(name), static_cast<float>(stddev));
  return tensor.requires_grad_();
}

TrainingResult train_plainly(const TrainingCase& test) {
  auto [weights, loss_of] = test.llama ? plain_llama(*test.llama) : plain_gpt2(test.config);
  PlainOptimizer optimizer(weights, test.sgd);
  const CountedBatches batches(vocabulary_of(test), test.seq_len, test.global_batch_size, test.validation_windows);
  TrainingResult result;
  for (int64_t step = 0; step < test.steps; ++step) {
    for (auto& [name, weight] : weights) weight.mutable_grad() = Tensor();
    const auto loss = loss_of(weights, batches.train(step, 0, test.global_batch_size), step);
    torch::autograd::backward({loss}, {});
    result.losses.push_back(loss.item<double>());
    result.gradients.push_back(copy(weights, true));
    result.norms.push_back(clip(weights, test.max_norm));
    optimizer.step(weights, test.lr);
  }
  const at::NoGradGuard no_grad;
  result.validation_loss = loss_of(weights, batches.validation(0, test.validation_windows), std::nullopt).item<double>();
  result.weights = copy(weights, false);
  return result;
}

}  // namespace zerorun::testing
