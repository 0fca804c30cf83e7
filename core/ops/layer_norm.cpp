#include "core/ops/layer_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/gradient.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Three = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// {y, mean, 1 / standard deviation}. LibTorch has no C++ meta kernel: the allocations of its cpu kernel are repeated.
Three normalise(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  if (!x.is_meta()) return at::native_layer_norm(x, {x.size(-1)}, weight, bias, eps);
  auto statistics = x.sizes().vec();
  statistics.back() = 1;
  return {at::empty_like(x), at::empty(statistics, weight.options()), at::empty(statistics, weight.options())};
}

// {dx, dweight, dbias}.
Three normalise_backward(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd,
                         const at::Tensor& weight, const at::Tensor& bias) {
  if (!x.is_meta()) return at::native_layer_norm_backward(gradient, x, {x.size(-1)}, mean, rstd, weight, bias, {true, true, true});
  Three results{at::empty_like(x), at::empty_like(weight), at::empty_like(bias)};
  const auto partial_sums = at::empty({2, at::get_num_threads(), x.size(-1)}, x.options());
  return results;
}

struct ForkLayerNorm : torch::autograd::Function<ForkLayerNorm> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                               double eps) {
    auto [y, mean, rstd] = normalise(x, weight, bias, eps);
    context->save_for_backward({x, mean, rstd, weight, bias});
    context->set_materialize_grads(false);
    return {x, y};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[3], &bias = saved[4];
    auto [dx, dweight, dbias] = normalise_backward(gradients[1], x, saved[1], saved[2], weight, bias);
    auto weight_gradient = add_to_gradient(weight, [&](at::Tensor& sum) { sum.add_(dweight); });
    auto bias_gradient = add_to_gradient(bias, [&](at::Tensor& sum) { sum.add_(dbias); });
    if (gradients[0].defined()) dx.add_(gradients[0]);
    return {dx, weight_gradient, bias_gradient, at::Tensor()};
  }
};

}  // namespace

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  return fork_layer_norm(x, weight, bias, eps).second;
}

std::pair<at::Tensor, at::Tensor> fork_layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                                  double eps) {
  const auto outputs = ForkLayerNorm::apply(x, weight, bias, eps);
  return {outputs[0], outputs[1]};
}

}  // namespace zerorun::ops
