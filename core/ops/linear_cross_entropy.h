// The head's projection and its loss in one, chunk by chunk: the logits of a whole batch never exist, and the gradients
// are ready when the forward is, so that nothing of the chunk is kept.
#pragma once
#include <ATen/core/Tensor.h>

#include "core/span.h"

namespace zerorun::ops {

// Logits that exist at a time: at most this many, and at least one row. In bf16 and fp16 a chunk has at least this part of the rows:
// the weight's gradient is rounded once a chunk, and a sum of hundreds of terms would lose those that come last.
inline constexpr int64_t kChunkLogits = int64_t{1} << 21;
inline constexpr int64_t kGpuChunkLogits = int64_t{1} << 28;  // on a GPU, whose products need more rows
inline constexpr int64_t kGpuLogitsMultiple = 64;             // there rows of logits take so many numbers, or a multiple
inline constexpr int64_t kReducedChunks = 32;

// How many rows of N go at a time. On a GPU in whole tiles of products, and chunks of one size: what the last leaves of it, it leaves idle.
int64_t rows_of_chunk(int64_t rows, int64_t vocabulary, at::ScalarType dtype, Side side);

// x [N, C], weight [V, C], targets int64 [N] -> fp64 scalar, the sum over rows of -log softmax(x weight^T)[target].
// Rows whose target is kIgnoredTarget count nothing. Where gradients are asked for, forward computes them times
// `loss_scale` and adds the weight's in place, each only where it is asked for; REQUIRES that backward is then seeded with exactly loss_scale.
// Logits and their gradient are rounded once to the dtype of x, as is the gradient of x; the weight's gradient once a chunk. Softmax and
// loss are computed in fp32. Workspace: a chunk of
// logits, its losses in fp64, where x is not fp32 V floats a thread (not on a GPU), and that of matrix_product.h; saves [N, C]. The sum is in fp64,
// in row order. Throws Error(bad_data) for a target outside [0, V); on a GPU the sum is no number then.
at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, double loss_scale);

}  // namespace zerorun::ops
