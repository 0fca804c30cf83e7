// Causal self-attention in blocks (flash attention): memory grows with T, not with T x T. Any head
// width; workspace as blocked_attention.h says.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// qkv [B, T, 3 C]: queries, keys, values side by side, heads = `heads` of C / heads -> [B, T, C].
// Saves qkv, the output and one fp32 statistic per row and head. Scores are scaled by 1 / sqrt(C / heads).
at::Tensor causal_attention(const at::Tensor& qkv, int64_t heads);

// query [B, T, H D], key and value [B, T, K D], H a multiple of K: head h reads key-value head h / (H / K) (grouped-query
// attention, Ainslie et al. 2023), without a copy of it -> [B, T, H D]. Saves the three, the output and one fp32 statistic
// per row and head. Scores are scaled by 1 / sqrt(D).
at::Tensor causal_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t head_dim);

}  // namespace zerorun::ops
