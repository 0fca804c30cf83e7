#include "core/ops/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/gradient.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor rows(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    context->save_for_backward({x, weight, bias});
    auto shape = x.sizes().vec();
    shape.back() = weight.size(1);
    const auto out = at::empty(shape, x.options());
    auto out_rows = rows(out);
    at::addmm_out(out_rows, bias, rows(x), weight);
    return out;  // not a view: the caller may add to it in place
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2];
    const auto gradient = rows(gradients[0]);
    auto bias_gradient = add_to_gradient(bias, [&](at::Tensor& sum) { sum.add_(gradient.sum(0)); });
    auto weight_gradient = add_to_gradient(weight, [&](at::Tensor& sum) { sum.addmm_(rows(x).t(), gradient); });
    at::Tensor x_gradient;
    if (context->needs_input_grad(0)) x_gradient = at::mm(gradient, weight.t()).view(x.sizes());
    return {x_gradient, weight_gradient, bias_gradient};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return Linear::apply(x, weight, bias);
}

}  // namespace zerorun::ops
