// Rotary position embedding (Su et al. 2021), in the layout of Hugging Face's LLaMA: element i of a head is paired with
// element i + D / 2.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// x [B, T, heads D], contiguous -> the same, each pair of row t turned by p theta^(-2 i / D) with position
// p = first_position + t. D is even. Saves nothing. Angles are computed in fp64: no rounding grows with p. Workspace: T D sines
// and cosines in fp32.
at::Tensor rotary(const at::Tensor& x, int64_t head_dim, double theta, int64_t first_position = 0);

}  // namespace zerorun::ops
