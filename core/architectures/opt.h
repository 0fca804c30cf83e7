// OPT (Zhang et al. 2022), under the names and layouts of Hugging Face's OPTForCausalLM: layer norms before each half of a block, ReLU, biases,
// learned positions with two rows more than a text has. The one of 350M is different: norms behind each half, none at the end, and an
// embedding of 512 that is projected in and out.
#pragma once
#include <string>

#include "core/architectures/architecture.h"

namespace zerorun {

struct OptConfig {
  int64_t vocab_size = 50272, hidden_size = 768, layers = 12, heads = 12, inner = 3072, positions = 2048;
  int64_t embedding_size = 0;  // 0: hidden_size
  bool final_norm = true;      // and norms before, not behind
  bool tied = true;
  bool biases = true;
};

Architecture make_opt(const OptConfig& config, std::string name);

}  // namespace zerorun
