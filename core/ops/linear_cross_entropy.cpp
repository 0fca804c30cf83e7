#include "core/ops/linear_cross_entropy.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "core/error.h"
#include "core/memory.h"
#include "core/ops/gradient.h"
#include "core/ops/softmax_rows.h"
#include "core/unit.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void check_targets(const at::Tensor& targets, int64_t vocabulary) {
  const auto* target = targets.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < targets.numel(); ++i) {
    if (target[i] != kIgnoredTarget && (target[i] < 0 || target[i] >= vocabulary)) {
      fail(ErrorKind::bad_data, "target {} is outside the vocabulary of {}", target[i], vocabulary);
    }
  }
}

// Losses of the chunk's rows; with gradient_scale != 0 the logits become the gradient of the logits.
void losses_of(at::Tensor& logits, const at::Tensor& targets, at::Tensor& losses, double gradient_scale) {
  if (logits.is_meta()) return;
  const int64_t vocabulary = logits.size(1);
  auto* logit = logits.data_ptr<float>();
  const auto* target = targets.const_data_ptr<int64_t>();
  auto* loss = losses.data_ptr<double>();
  at::parallel_for(0, logits.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = logit + i * vocabulary;
      if (target[i] == kIgnoredTarget) {
        loss[i] = 0;
        std::fill(row, row + vocabulary, 0.0f);
      } else {
        loss[i] = softmax_cross_entropy_row(row, vocabulary, target[i], static_cast<float>(gradient_scale));
      }
    }
  });
}

void add_in_order(const at::Tensor& losses, at::Tensor& sum) {
  if (losses.is_meta()) return;
  auto* total = sum.data_ptr<double>();
  const auto* loss = losses.const_data_ptr<double>();
  for (int64_t i = 0; i < losses.numel(); ++i) *total += loss[i];
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                            double loss_scale, bool training) {
    const int64_t rows = x.size(0), vocabulary = weight.size(0);
    const int64_t chunk = std::clamp<int64_t>(kChunkLogits / vocabulary, 1, rows);
    auto sum = at::empty({}, x.options().dtype(at::kDouble));
    if (!sum.is_meta()) *sum.data_ptr<double>() = 0;
    if (!targets.is_meta()) check_targets(targets, vocabulary);
    const auto dx = training ? at::empty_like(x) : at::Tensor();
    auto dweight = training ? gradient_of(weight) : at::Tensor();
    at::Tensor all_logits, all_losses;
    {
      const MemoryScope workspace(Category::workspace);
      all_logits = at::empty({chunk, vocabulary}, x.options());
      all_losses = at::empty({chunk}, sum.options());
    }
    // Without data the first chunk stands for all: none keeps anything.
    for (int64_t begin = 0; begin < (x.is_meta() ? chunk : rows); begin += chunk) {
      const int64_t count = std::min(chunk, rows - begin);
      const auto part = x.narrow(0, begin, count);
      auto logits = all_logits.narrow(0, 0, count), losses = all_losses.narrow(0, 0, count);
      at::mm_out(logits, part, weight.t());
      losses_of(logits, targets.narrow(0, begin, count), losses, training ? loss_scale : 0);
      add_in_order(losses, sum);
      if (!training) continue;
      auto dpart = dx.narrow(0, begin, count);
      at::mm_out(dpart, logits, weight);
      dweight.addmm_(logits.t(), part);
    }
    if (training) context->save_for_backward({dx, weight.grad().defined() ? at::Tensor() : dweight});
    return sum;
  }

  static variable_list backward(AutogradContext* context, variable_list) {
    const auto saved = context->get_saved_variables();
    return {saved[0], saved[1], at::Tensor(), at::Tensor(), at::Tensor()};
  }

  // Where the weight's gradient is summed: its own .grad inside the engine, else a fresh tensor that backward returns.
  static at::Tensor gradient_of(const at::Tensor& weight) {
    return weight.grad().defined() ? weight.grad() : at::zeros_like(weight);
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, double loss_scale) {
  const bool training = at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  return LinearCrossEntropy::apply(x, weight, targets, loss_scale, training);
}

}  // namespace zerorun::ops
