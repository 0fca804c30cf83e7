// Rotary position embedding (Su et al. 2021), in the layout of Hugging Face's LLaMA: element i of a head is paired with
// element i + D / 2.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// x [B, T, heads D], fp32, contiguous -> the same, each pair of position t turned by t theta^(-2 i / D). D is even.
// Saves nothing. Angles are computed in fp64: no rounding grows with t. Workspace: T D / 2 sines and cosines.
at::Tensor rotary(const at::Tensor& x, int64_t head_dim, double theta);

}  // namespace zerorun::ops
