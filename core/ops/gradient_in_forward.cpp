#include "core/ops/gradient_in_forward.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/backward_here.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Body = std::function<at::Tensor(const at::Tensor&)>;

// body(x), whose graph is run backwards and left behind.
at::Tensor run_with_backward(const at::Tensor& x, double seed, const Body& body) {
  const at::AutoGradMode enable(true);
  const auto result = body(x);
  if (!result.requires_grad()) return result;
  auto gradient = at::empty_like(result);
  gradient.fill_(seed);
  const BackwardHere here;
  torch::autograd::backward({result}, {gradient});
  return result.detach();
}

struct GradientInForward : torch::autograd::Function<GradientInForward> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double seed, const Body& body) {
    const auto input = x.detach().requires_grad_();
    const auto result = run_with_backward(input, seed, body);
    context->save_for_backward({input.grad()});
    return result;
  }

  static variable_list backward(AutogradContext* context, variable_list) {
    return {context->get_saved_variables()[0], at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor gradient_in_forward(const at::Tensor& x, double seed, const Body& body) {
  if (!at::GradMode::is_enabled()) return body(x);
  if (!x.requires_grad()) return run_with_backward(x, seed, body);
  return GradientInForward::apply(x, seed, body);
}

}  // namespace zerorun::ops
