// Causal attention block of queries by block of keys (flash attention: Dao et al. 2022), of our own: the scratch of LibTorch's
// depends in bf16 and fp16 on the machine's instructions, and in fp32 it is slower. Scores, softmax and sums are fp32 and rounded once;
// the bits do not depend on the number of threads.
// Workspace of a thread, with q = min(64, T) and k = min(128, T), in floats: forward q k + 2 q D + 2 k D + 2 q; backward
// 4 q k + 3 q D + 3 k D + 2 q + 2 T D.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

namespace zerorun::ops {

struct Heads {
  at::Tensor query, key, value;  // [B, H, T, D] and twice [B, K, T, D], H a multiple of K: views whose last stride is 1
};

// {output [B, H, T, D], which is a view of [B, T, H D]; log-sum-exp [B, H, T], fp32}. Scores are scaled by 1 / sqrt(D).
std::pair<at::Tensor, at::Tensor> blocked_attention(const Heads& heads);

// Writes into the views `to`, of the shapes of `heads`.
void blocked_attention_backward(const at::Tensor& gradient, const Heads& heads, const at::Tensor& out, const at::Tensor& log_sum_exp,
                                const Heads& to);

}  // namespace zerorun::ops
