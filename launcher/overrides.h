// `--set KEY=VALUE` of command lines.
#pragma once
#include <string>
#include <vector>

#include "launcher/settings.h"

namespace zerorun {

// In the order given. Throws Error(usage) for what is no KEY=VALUE.
std::vector<Override> parse_overrides(const std::vector<std::string>& texts);

}  // namespace zerorun
