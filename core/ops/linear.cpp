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

// Not a view: the caller may add to it in place.
at::Tensor empty_output(const at::Tensor& x, int64_t width) {
  auto shape = x.sizes().vec();
  shape.back() = width;
  return at::empty(shape, x.options());
}

struct Conv1d : torch::autograd::Function<Conv1d> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    context->save_for_backward({x, weight, bias});
    const auto out = empty_output(x, weight.size(1));
    auto out_rows = rows(out);
    at::addmm_out(out_rows, bias, rows(x), weight);
    return out;
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

struct Linears : torch::autograd::Function<Linears> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, at::TensorList weights) {
    variable_list saved{x}, outputs;
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(saved);
    for (const auto& weight : weights) {
      outputs.push_back(empty_output(x, weight.size(0)));
      auto out_rows = rows(outputs.back());
      at::mm_out(out_rows, rows(x), weight.t());
    }
    return outputs;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto& x = saved[0];
    variable_list results{at::Tensor()};
    at::Tensor x_gradient;
    for (size_t w = 0; w < gradients.size(); ++w) {
      const auto& weight = saved[w + 1];
      const auto gradient = rows(gradients[w]);
      results.push_back(add_to_gradient(weight, [&](at::Tensor& sum) { sum.addmm_(gradient.t(), rows(x)); }));
      if (!context->needs_input_grad(0)) continue;
      if (x_gradient.defined()) {
        x_gradient.addmm_(gradient, weight);
      } else {
        x_gradient = at::mm(gradient, weight);
      }
    }
    if (x_gradient.defined()) results[0] = x_gradient.view(x.sizes());
    return results;
  }
};

}  // namespace

at::Tensor conv1d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) { return Conv1d::apply(x, weight, bias); }

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight) { return linears(x, {weight})[0]; }

std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<at::Tensor>& weights) {
  return Linears::apply(x, at::TensorList(weights));  // a vector would be no variable to autograd
}

}  // namespace zerorun::ops
