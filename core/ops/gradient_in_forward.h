// A computation whose gradient is taken at once: for the head, which then needs neither its weights nor its graph again.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

namespace zerorun::ops {

// The scalar body(x). Where gradients are asked for, body runs under autograd in a graph of its own, whose backward is
// seeded with `seed` right away: the gradients of the weights that body uses are complete on return. What is kept is the
// gradient of x; where x requires none, the result has no graph. REQUIRES that backward of the result is then seeded with exactly
// `seed`.
at::Tensor gradient_in_forward(const at::Tensor& x, double seed, const std::function<at::Tensor(const at::Tensor&)>& body);

}  // namespace zerorun::ops
