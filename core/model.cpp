#include "core/model.h"

#include <fmt/ranges.h>
#include <fnmatch.h>

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

using GroupKey = std::pair<std::vector<int>, bool>;  // users; frozen
GroupKey key_of(const Declaration& declaration) { return {declaration.units, !declaration.parameter.trainable}; }

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

Model::Model(std::vector<std::shared_ptr<const Unit>> units) : Model(std::move(units), std::set<std::string>()) {}

Model::Model(std::vector<std::shared_ptr<const Unit>> units, const std::set<std::string>& frozen) : units_(std::move(units)) {
  ZR_CHECK(!units_.empty(), "a model needs at least one unit");
  auto declarations = collect(units_);
  for (auto& [parameter, users] : declarations) parameter.trainable = parameter.trainable && !frozen.contains(parameter.name);
  std::stable_partition(declarations.begin(), declarations.end(), [](const auto& d) { return d.parameter.decays(); });

  std::map<GroupKey, int> group_of_key;  // ordered: groups follow the chain
  for (const auto& declaration : declarations) group_of_key[key_of(declaration)] = 0;
  for (auto& [key, group] : group_of_key) {
    group = static_cast<int>(groups_.size());
    const auto& [users, frozen] = key;
    std::vector<std::string> names;
    for (const int u : users) names.push_back(units_[u]->name());
    groups_.push_back({fmt::format("{}{}", fmt::join(names, "+"), frozen ? ", frozen" : ""), {}, users, !frozen});
  }

  std::map<std::string, Place> place_of;
  for (auto& declaration : declarations) {
    const int group = group_of_key[key_of(declaration)];
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

Model Model::with_frozen(const std::vector<std::string>& patterns) const {
  std::set<std::string> frozen;
  for (const auto& group : groups_) {
    for (const auto& parameter : group.parameters) {
      if (!group.trainable) frozen.insert(parameter.name);
    }
  }
  for (const auto& pattern : patterns) {
    bool matched = false;
    for (const auto& group : groups_) {
      for (const auto& parameter : group.parameters) {
        if (fnmatch(pattern.c_str(), parameter.name.c_str(), 0) != 0) continue;
        frozen.insert(parameter.name);
        matched = true;
      }
    }
    if (!matched) {
      fail(ErrorKind::configuration, "the frozen pattern {} matches no parameter; names are such as {}", pattern, groups_[0].parameters[0].name);
    }
  }
  Model model(units_, frozen);
  if (model.first_trainable_unit() == unit_count()) fail(ErrorKind::configuration, "every parameter is frozen: nothing is left to train");
  return model;
}

bool Model::gradients_come_from_ops(int group) const {
  return std::ranges::all_of(groups_[group].units, [this](int unit) { return units_[unit]->gradients_come_from_ops(); });
}

int Model::first_trainable_unit() const {
  int first = unit_count();
  for (const auto& group : groups_) {
    if (group.trainable) first = std::min(first, group.units.front());
  }
  return first;
}

int64_t Model::parameter_count() const {
  int64_t count = 0;
  for (const auto& group : groups_) {
    for (const auto& parameter : group.parameters) count += parameter.count();
  }
  return count;
}

}  // namespace zerorun
