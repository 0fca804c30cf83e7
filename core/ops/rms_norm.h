// Root-mean-square normalisation (Zhang and Sennrich 2019), and the residual stream around it.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

namespace zerorun::ops {

// x [..., C], contiguous, weight [C] -> x / sqrt(mean(x^2) + eps) * weight. Saves x and an fp32 statistic per row.
// Workspace of backward as layer_norm.h's, without a bias.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// {x, rms_norm(x)}: where a residual stream forks, as fork_layer_norm.
std::pair<at::Tensor, at::Tensor> fork_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace zerorun::ops
