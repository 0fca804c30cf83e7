// Token embedding, with a learned position embedding or without.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// tokens int64 [B, T], contiguous, token_weight [V, C], position_weight [P, C] with first_position + T <= P -> [B, T, C]: row (b, t) is
// token_weight[tokens[b, t]] + position_weight[first_position + t], or the former alone without a position_weight. Saves the tokens, and the weights for the place of their
// gradients. Backward sums the rows of a token, and of a position, in fp32 in the order of the batch, and adds the sum to the
// gradient once. Workspace of backward, but on a GPU: an int64 a token of the batch. Throws Error(bad_data) for a token outside [0, V); on a GPU its row is no
// number then.
// `order`, on a GPU where the token weight is trained: token_order(tokens), of its tokens.
at::Tensor embed(const at::Tensor& tokens, const at::Tensor& token_weight, const at::Tensor& position_weight = {}, int64_t first_position = 0,
                 const at::Tensor& order = {});

// The places in a batch by token, and those of one token in order: of `tokens` in host memory, written to order[0, count).
void token_order(const int64_t* tokens, int64_t count, int64_t* order);

}  // namespace zerorun::ops
