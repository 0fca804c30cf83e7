#include "core/model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"

namespace zerorun {
namespace {

struct Declaration {
  Parameter parameter;
  std::vector<int> units;
};

// In order of first declaration.
std::vector<Declaration> collect(const std::vector<std::shared_ptr<const Unit>>& units) {
  std::vector<Declaration> declarations;
  std::map<std::string, size_t> index;
  for (size_t u = 0; u < units.size(); ++u) {
    for (const auto& parameter : units[u]->parameters()) {
      ZR_CHECK(parameter.count() > 0, "{} of unit {} has shape [{}], expected positive sizes", parameter.name, units[u]->name(),
               fmt::join(parameter.shape, ", "));
      const auto [found, fresh] = index.emplace(parameter.name, declarations.size());
      if (fresh) declarations.push_back({parameter, {}});
      auto& declaration = declarations[found->second];
      ZR_CHECK(declaration.parameter == parameter, "{} is declared again by unit {}, but with another shape or initial value",
               parameter.name, units[u]->name());
      declaration.units.push_back(static_cast<int>(u));
    }
  }
  return declarations;
}

}  // namespace

int64_t Parameter::count() const {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size <= 0 || __builtin_mul_overflow(count, size, &count)) return 0;
  }
  return count;
}

Model::Model(std::vector<std::shared_ptr<const Unit>> units) : units_(std::move(units)) {
  ZR_CHECK(!units_.empty(), "a model needs at least one unit");
  auto declarations = collect(units_);
  std::stable_partition(declarations.begin(), declarations.end(), [](const auto& d) { return d.parameter.decays(); });

  std::map<std::vector<int>, int> group_of_users;  // ordered: groups follow the chain
  for (const auto& declaration : declarations) group_of_users[declaration.units] = 0;
  for (auto& [users, group] : group_of_users) {
    group = static_cast<int>(groups_.size());
    std::vector<std::string> names;
    for (const int u : users) names.push_back(units_[u]->name());
    groups_.push_back({fmt::format("{}", fmt::join(names, "+")), {}, users});
  }

  std::map<std::string, Place> place_of;
  for (auto& declaration : declarations) {
    const int group = group_of_users[declaration.units];
    place_of[declaration.parameter.name] = {group, static_cast<int>(groups_[group].parameters.size())};
    groups_[group].parameters.push_back(declaration.parameter);
  }
  for (const auto& unit : units_) {
    auto& places = places_.emplace_back();
    std::set<int> named;
    for (const auto& parameter : unit->parameters()) {
      places.push_back(place_of.at(parameter.name));
      named.insert(places.back().group);
    }
    groups_of_.emplace_back(named.begin(), named.end());
  }
}

int64_t Model::parameter_count() const {
  int64_t count = 0;
  for (const auto& group : groups_) {
    for (const auto& parameter : group.parameters) count += parameter.count();
  }
  return count;
}

}  // namespace zerorun
