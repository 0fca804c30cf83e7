// Token embedding, with a learned position embedding or without.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// tokens int64 [B, T], token_weight [V, C], position_weight [P, C] with T <= P -> [B, T, C]: row (b, t) is
// token_weight[tokens[b, t]] + position_weight[t]. Saves the tokens, and the weights for the place of their gradients.
// Backward adds rows in the order of the tokens. Throws Error(bad_data) for a token outside [0, V).
at::Tensor embed(const at::Tensor& tokens, const at::Tensor& token_weight, const at::Tensor& position_weight);
at::Tensor embed(const at::Tensor& tokens, const at::Tensor& token_weight);  // without positions

}  // namespace zerorun::ops
