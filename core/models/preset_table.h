// Models that have a name: a table of names, and how they are found.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zerorun {

template <typename Config>
struct Preset {
  std::string_view name;
  Config config;
};

// By name. Nothing where there is no such preset.
template <typename Config>
std::optional<Config> find_preset(const std::vector<Preset<Config>>& table, std::string_view name) {
  for (const auto& preset : table) {
    if (preset.name == name) return preset.config;
  }
  return std::nullopt;
}

// All names, in the order of the table.
template <typename Config>
std::vector<std::string> preset_names(const std::vector<Preset<Config>>& table) {
  std::vector<std::string> names;
  for (const auto& preset : table) names.emplace_back(preset.name);
  return names;
}

}  // namespace zerorun
