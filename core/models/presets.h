// The models of the gpt2 family that have a name: OpenAI's, and minGPT's with an untied head.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/models/gpt2.h"

namespace zerorun {

// By name or alias ("gpt2-xl", "1.5b"), in lower case. Nothing when there is no such preset.
std::optional<Gpt2Config> find_gpt2_preset(std::string_view name);

// All names and aliases, in the order of the table.
std::vector<std::string> gpt2_preset_names();

}  // namespace zerorun
