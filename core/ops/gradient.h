// How an op's backward adds to a weight's gradient. Inside the engine a weight is a leaf whose .grad lies in the unit's
// gradient slot: the op adds there itself, in place, with no temporary of the weight's size, and hands autograd nothing.
// Elsewhere (a plain loop) the op returns the gradient and autograd does what it always does.
//
// Nobody fills a slot with zeros before the first gradient: it is left unwritten, which its version says, and counts as zero. Who adds to
// it first writes over what lies there.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

namespace zerorun::ops {

// Whatever lies in its memory, it counts as zero from now on.
void leave_unwritten(const at::Tensor& gradient);
// Whether it is unwritten. It is not from now on: the caller writes all of it.
bool take_unwritten(const at::Tensor& gradient);
// Zeros, where it was unwritten.
at::Tensor& written(at::Tensor& gradient);

// The op adds to the weight's own .grad, and returns nothing to autograd.
inline bool has_slot(const at::Tensor& weight) { return weight.is_leaf() && weight.grad().defined(); }

// add(grad) adds this use's gradient to `grad`. Returns what the op's backward returns for `weight`.
template <typename Add>
at::Tensor add_to_gradient(const at::Tensor& weight, Add&& add) {
  if (!weight.defined() || !weight.requires_grad()) return {};
  if (has_slot(weight)) {
    add(written(weight.mutable_grad()));
    return {};
  }
  auto gradient = at::zeros_like(weight);
  add(gradient);
  return gradient;
}

// The same for a gradient that is the product a b, which is written, and not added, where there is nothing to add it to. REQUIRES that the
// weight requires grad.
at::Tensor add_product_to_gradient(const at::Tensor& weight, const at::Tensor& a, const at::Tensor& b);

}  // namespace zerorun::ops
