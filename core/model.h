// A model is a chain of units, and the groups in which its parameters are sharded.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/unit.h"

namespace zerorun {

// The parameters that exactly the same units use, frozen ones apart: they have no gradient to sum and no update to send.
// A weight of two units (a tied embedding) is a group named by both.
struct ParameterGroup {
  std::string name;                   // of the units that use it, joined by '+'
  std::vector<Parameter> parameters;  // those that decay first; otherwise in order of declaration
  std::vector<int> units;             // ascending
  bool trainable = true;
};

class Model {
 public:
  // Throws Error(bug) where two units declare the same name differently, or a parameter has no elements.
  explicit Model(std::vector<std::shared_ptr<const Unit>> units);

  // The same units, with the parameters frozen too whose names match one of the patterns ("transformer.h.[0-3].*", as in a
  // shell; `*` matches any text). Throws Error(configuration) for a pattern that matches no parameter, and where nothing
  // is left to train.
  Model with_frozen(const std::vector<std::string>& patterns) const;

  int unit_count() const { return static_cast<int>(units_.size()); }
  const Unit& unit(int index) const { return *units_[index]; }
  const std::vector<ParameterGroup>& groups() const { return groups_; }

  // Where a unit's parameters are, in the order of its declaration.
  struct Place {
    int group;
    int parameter;  // index in the group
  };
  const std::vector<Place>& places(int unit) const { return places_[unit]; }
  // The groups that a unit names, ascending, each once.
  const std::vector<int>& groups_of(int unit) const { return groups_of_[unit]; }

  // Whether all units that use the group say so.
  bool gradients_come_from_ops(int group) const;
  // The first unit that has something to train: backward ends there. unit_count() where all is frozen.
  int first_trainable_unit() const;

  // Distinct elements: a shared parameter counts once.
  int64_t parameter_count() const;

 private:
  Model(std::vector<std::shared_ptr<const Unit>> units, const std::set<std::string>& frozen);

  std::vector<std::shared_ptr<const Unit>> units_;
  std::vector<ParameterGroup> groups_;
  std::vector<std::vector<Place>> places_;
  std::vector<std::vector<int>> groups_of_;
};

}  // namespace zerorun
