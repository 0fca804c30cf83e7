// The models that have a name: those that zerorun trains (core/models' presets), and others that it can estimate.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/architectures/architecture.h"

namespace zerorun {

// By name or alias ("opt-125m", "internvl2_5-2b"); case does not count. Nothing where there is no such model.
std::optional<Architecture> find_architecture(std::string_view name);

// All names and aliases.
std::vector<std::string> architecture_names();

// Whether zerorun knows the name, and can estimate the model but not train it.
bool is_for_estimates_only(std::string_view name);

}  // namespace zerorun
