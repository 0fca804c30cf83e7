// The models of the llama family that have a name.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/models/llama.h"

namespace zerorun {

// By name or alias ("llama-7b", "7b"), in lower case. Nothing when there is no such preset.
std::optional<LlamaConfig> find_llama_preset(std::string_view name);

// All names and aliases, in the order of the table.
std::vector<std::string> llama_preset_names();

}  // namespace zerorun
