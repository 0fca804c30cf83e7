#include "core/ops/linear.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/gradient.h"
#include "core/ops/kernels/column_sums.h"
#include "core/ops/kernels/matrix_product.h"

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

// What a gradient of a weight needs: nothing, where none of them is trained.
at::Tensor if_trained(const at::Tensor& x, at::TensorList weights) {
  for (const auto& weight : weights) {
    if (weight.requires_grad()) return x;
  }
  return {};
}

at::Tensor input_of(const at::Tensor& gradient, const at::Tensor& weight_by_output) {
  auto x_gradient = empty_output(gradient, weight_by_output.size(1));
  multiply(rows(x_gradient), rows(gradient), weight_by_output);
  return x_gradient;
}

struct Conv1d : torch::autograd::Function<Conv1d> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    context->save_for_backward({if_trained(x, weight), weight, bias});
    const auto out = empty_output(x, weight.size(1));
    multiply(rows(out), rows(x), weight, bias);
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2];
    const auto gradient = gradients[0].contiguous();
    auto bias_gradient = add_to_gradient(bias, [&](at::Tensor& sum) { add_column_sums(gradient, sum); });
    const auto weight_gradient = weight.requires_grad() ? add_product_to_gradient(weight, rows(x).t(), rows(gradient)) : at::Tensor();
    at::Tensor x_gradient;
    if (context->needs_input_grad(0)) x_gradient = input_of(gradient, weight.t());
    return {x_gradient, weight_gradient, bias_gradient};
  }
};

struct Linears : torch::autograd::Function<Linears> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, at::TensorList weights) {
    variable_list saved{if_trained(x, weights)}, outputs;
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(saved);
    for (const auto& weight : weights) {
      outputs.push_back(empty_output(x, weight.size(0)));
      multiply(rows(outputs.back()), rows(x), weight.t());
    }
    return outputs;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    variable_list results{at::Tensor()};
    for (size_t w = 0; w < gradients.size(); ++w) {
      const auto& weight = saved[w + 1];
      const auto gradient = gradients[w].contiguous();
      results.push_back(weight.requires_grad() ? add_product_to_gradient(weight, rows(gradient).t(), rows(saved[0])) : at::Tensor());
      if (!context->needs_input_grad(0)) continue;
      if (results[0].defined()) {
        add_product(rows(results[0]), rows(gradient), weight);
      } else {
        results[0] = input_of(gradient, weight);
      }
    }
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
