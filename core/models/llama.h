// LLaMA: RMSNorm, rotary positions, grouped-query attention, SwiGLU, no biases, the head tied to the embedding or not.
// Parameters carry the names and layouts of Hugging Face's LlamaForCausalLM ([out, in] for every matrix).
#pragma once
#include "core/model.h"

namespace zerorun {

struct LlamaConfig {
  int64_t vocab_size = 32000;
  int64_t hidden_size = 4096;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t num_key_value_heads = 0;  // 0: as many as heads
  int64_t head_dim = 0;             // 0: hidden_size / num_attention_heads
  int64_t intermediate_size = 11008;
  int64_t max_position_embeddings = 2048;
  bool tie_word_embeddings = false;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;

  int64_t key_value_heads() const { return num_key_value_heads ? num_key_value_heads : num_attention_heads; }
  int64_t width_of_head() const { return head_dim ? head_dim : hidden_size / num_attention_heads; }
};

// Units: embedding, one per block, head. Weights ~ N(0, 0.02), norms 1 (Touvron et al. 2023; the standard deviation is
// Hugging Face's initializer_range). Throws Error(configuration) for sizes that contradict each other.
Model make_llama(const LlamaConfig& config);

}  // namespace zerorun
