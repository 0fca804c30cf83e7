// Layer normalisation, and the residual stream around it.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

namespace zerorun::ops {

// x [..., C], contiguous, weight and bias [C] -> normalised x times weight plus bias. Saves x and two fp32 statistics per row.
// Workspace of backward: a row of C fp32 sums for each 64 rows of x, at most 256, for the weight and for the bias.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);

// {x, layer_norm(x)}: where a residual stream forks. Its backward adds the two gradients of x where it computes the norm's, so that
// the graph has no fan-in: the sum is rounded once, in an order of additions that does not depend on autograd.
std::pair<at::Tensor, at::Tensor> fork_layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                                  double eps);

}  // namespace zerorun::ops
