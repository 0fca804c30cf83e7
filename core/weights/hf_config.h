// config.json of a Hugging Face folder, read and written: which model the folder holds.
#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/models/gpt2.h"
#include "core/models/llama.h"

namespace zerorun {

using ModelConfig = std::variant<Gpt2Config, LlamaConfig>;

std::string_view family_of(const ModelConfig& config);  // "gpt2", as Hugging Face's model_type
Model make_model(const ModelConfig& config);

struct HfConfig {
  ModelConfig model;
  std::vector<std::string> warnings;  // what is read as something else than it says
};

// Of the folder `folder`. Absent keys have Hugging Face's defaults, except where a default would be a guess about the
// weights. Throws Error(missing_input) where config.json is not there; Error(bad_data) where a value has the wrong type or
// is out of range, or where values contradict each other; Error(configuration) where the model needs what is not
// implemented: each names the file, the key, what was found and what was expected.
HfConfig read_hf_config(const std::string& folder);
HfConfig read_hf_config_file(const std::string& path);  // of a file of any name

// A config.json that transformers 4.28 to 5.x reads, for weights in fp32.
std::string hf_config_json(const ModelConfig& config);

}  // namespace zerorun
