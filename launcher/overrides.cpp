#include "launcher/overrides.h"

#include "launcher/usage.h"

namespace zerorun {

std::vector<Override> parse_overrides(const std::vector<std::string>& texts) {
  std::vector<Override> overrides;
  for (const auto& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) fail_usage("--set {}: expected KEY=VALUE, such as training.steps=5", text);
    overrides.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return overrides;
}

}  // namespace zerorun
