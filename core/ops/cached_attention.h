// Attention of generation: one new query of each sample over all cached positions.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// query [B, 1, H D], keys and values [B, S, K D], H a multiple of K, heads as in attention.h -> [B, 1, H D], the last row of
// causal_attention. Cached rows need only be contiguous inside: a narrowed view of a longer cache will do. Sums are fp32, rounded once.
// No gradients. Workspace of a thread, in floats, with G = H / K: 2 (G + k) D + G (k + 2), k = min(128, S).
at::Tensor attend_to_cache(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values, int64_t head_dim);

}  // namespace zerorun::ops
