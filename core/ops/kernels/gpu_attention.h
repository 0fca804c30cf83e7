// Causal attention on a GPU: flash attention of LibTorch (Dao et al. 2022, 2023) in bf16 and fp16, for heads of up to 256; else in fp32, block of queries by
// block, so that T x T never exists for all heads at once.
// Workspace of the blocks, of one sample and key-value head at a time with its G query heads, in floats: forward (2 G + 2) T D + G R (T + D), backward
// (5 G + 4) T D + G T + 2 G R T, with R the rows of a block: as many as keep G R T within 2^24, at least 16.
// Workspace of flash attention's backward: 4 bytes for each element of the query, 8 for each of its rows, and where key-value heads are shared a copy of the
// gradients of keys and values for each query head.
#pragma once
#include <utility>

#include "core/ops/kernels/blocked_attention.h"

namespace zerorun::ops {

// As blocked_attention(), which calls these for tensors of a GPU, and of the meta device where one is foretold.
std::pair<at::Tensor, at::Tensor> gpu_attention(const Heads& heads);
void gpu_attention_backward(const at::Tensor& gradient, const Heads& heads, const at::Tensor& out, const at::Tensor& log_sum_exp, const Heads& to);

// The same, always in blocks, on either side. `scores`: so many exist at a time, of at least 16 rows.
inline constexpr int64_t kScoresAtATime = int64_t{1} << 24;
std::pair<at::Tensor, at::Tensor> attention_in_blocks(const Heads& heads, int64_t scores = kScoresAtATime);
void attention_in_blocks_backward(const at::Tensor& gradient, const Heads& heads, const at::Tensor& out, const at::Tensor& log_sum_exp, const Heads& to,
                                  int64_t scores = kScoresAtATime);

}  // namespace zerorun::ops
