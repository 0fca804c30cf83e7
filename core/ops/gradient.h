// How an op's backward adds to a weight's gradient. Inside the engine a weight is a leaf whose .grad lies in the unit's
// gradient slot: the op adds there itself, in place, with no temporary of the weight's size, and hands autograd nothing.
// Elsewhere (a plain loop) the op returns the gradient and autograd does what it always does.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

namespace zerorun::ops {

// add(grad) adds this use's gradient to `grad`. Returns what the op's backward returns for `weight`.
template <typename Add>
at::Tensor add_to_gradient(const at::Tensor& weight, Add&& add) {
  if (!weight.defined() || !weight.requires_grad()) return {};
  if (weight.is_leaf() && weight.grad().defined()) {
    add(weight.mutable_grad());
    return {};
  }
  auto gradient = at::zeros_like(weight);
  add(gradient);
  return gradient;
}

}  // namespace zerorun::ops
