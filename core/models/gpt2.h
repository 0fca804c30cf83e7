// GPT-2: pre-norm blocks, gelu_new, learned positions, biases, the head tied to the embedding or not. Parameters carry
// the names and layouts of Hugging Face's GPT2LMHeadModel ([in, out] for the matrices inside a block).
#pragma once
#include "core/model.h"

namespace zerorun {

struct Gpt2Config {
  int64_t vocab_size = 50257;
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t intermediate_size = 0;  // 0: 4 * hidden_size
  int64_t max_position_embeddings = 1024;
  bool tie_word_embeddings = true;
  double layer_norm_eps = 1e-5;
  double dropout = 0;  // of the embedding, and of what attention and feed-forward add to the residual stream; in training

  int64_t inner_size() const { return intermediate_size ? intermediate_size : 4 * hidden_size; }
};

// Units: embedding, one per block, head. Weights ~ N(0, 0.02), the projections into the residual stream
// N(0, 0.02 / sqrt(2 layers)); biases 0, norms 1 (Radford et al. 2019). Throws Error(configuration) for sizes that
// contradict each other.
Model make_gpt2(const Gpt2Config& config);

}  // namespace zerorun
