// config.json of a model that is to be estimated: sizes alone. What only decides how a model computes is not read, so that more is estimated than trained.
#pragma once
#include <string>
#include <string_view>

#include "core/architectures/architecture.h"

namespace zerorun {

// `path`: a config.json, or the folder that holds it. model_type is gpt2, llama, opt, mistral, mixtral, qwen2, phi3, internlm2 or internvl_chat (whose
// language model is one of these but gpt2 and opt). Sizes that are absent are errors, except for gpt2 and llama, which read_hf_config reads with Hugging
// Face's defaults. Throws as read_hf_config: each error names the file and the key.
Architecture read_architecture(const std::string& path);

// Whether zerorun can estimate but not train models of that model_type.
bool is_family_for_estimates_only(std::string_view model_type);

}  // namespace zerorun
