// Decoders of the LLaMA kind, under the names and layouts of Hugging Face's families: RMS norms, grouped-query attention, SwiGLU, rotary positions.
// Sources of the layouts: LlamaForCausalLM, MistralForCausalLM, MixtralForCausalLM, Qwen2ForCausalLM, Phi3ForCausalLM and CohereForCausalLM of
// transformers, InternLM2ForCausalLM of internlm2_5. Experts are modules of their own, as Mixtral's weights have them on disk; newer versions of transformers fuse
// those of a layer into one.
#pragma once
#include <string>

#include "core/architectures/architecture.h"

namespace zerorun {

class Declaration;

struct DecoderConfig {
  std::string family;  // llama, mistral, mixtral, qwen2, phi3, internlm2, cohere
  int64_t vocab_size = 0, hidden_size = 0, layers = 0;
  int64_t heads = 0, key_value_heads = 0, head_dim = 0;
  int64_t inner = 0, positions = 0;
  int64_t experts = 1, experts_of_token = 1;  // mixtral
  bool tied = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool normed_heads = false;  // cohere: queries and keys pass through a norm of their own for each head
};

// Units: embedding, one a block, head.
void declare_decoder(const DecoderConfig& config, Declaration& declaration);
BlockStack blocks_of(const DecoderConfig& config);

// As `name`, counted.
Architecture make_decoder(const DecoderConfig& config, std::string name);

}  // namespace zerorun
