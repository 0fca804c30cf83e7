// Activations that a training step keeps for backward, of a micro-batch, by published formulas. They are bytes already: nothing is to be doubled for
// 16 bits. s: tokens, b: samples, h: width, a: heads, n: key-value heads, d: width of a head, i: width of the feed-forward, k: experts of a token, L: layers.
//
// Korthikanti et al. 2022, of a block with GELU over 4h, a head for each key and dropout: 34 s b h + 5 a s^2 b in 16 bits, masks in bytes. The quadratic part
// is softmax, its dropout and its mask; it is gone where attention goes in blocks (flash attention) or is computed again (selective recompute).
// Of a block with SwiGLU and grouped keys, attention in blocks, no dropout: what enters the norms and leaves them, queries, keys, values, attention's result, gate, up and
// their product, and 4 bytes a head and token of attention's own.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/architectures/architecture.h"

namespace zerorun {

struct ActivationRow {
  std::string key;   // in JSON
  std::string name, formula;
  int64_t bytes = 0;
};

struct ActivationSizes {
  int64_t seq_len = 1, samples = 1;
  int64_t element_bytes = 2;
};

// Of the language model, the last row of its pictures where it has a vision tower. Throws Error(configuration) where a figure exceeds 2^58.
std::vector<ActivationRow> activation_formulas(const Architecture& model, const ActivationSizes& sizes);

// 34 s b h and 5 a s^2 b of one block.
int64_t linear_part(const BlockStack& blocks, const ActivationSizes& sizes);
int64_t quadratic_part(const BlockStack& blocks, const ActivationSizes& sizes);

}  // namespace zerorun
