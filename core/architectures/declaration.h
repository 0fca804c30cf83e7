// A model that is declared and does not compute. Private to core/architectures.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/model.h"

namespace zerorun {

// Collects units and their parameters, in order.
class Declaration {
 public:
  // What follows belongs to it. What backward does, decides how often the unit would be gathered, and when its gradient is summed:
  // an embedding's does without the weights, a head's is done in forward (core/unit.h).
  enum class Backward { needs_weights, does_without, done_in_forward };
  void unit(std::string name, Backward backward = Backward::needs_weights);
  // A parameter of the last unit. Its name is `prefix` and `name`. Throws Error(configuration) for one of more than kMostParameters elements.
  void add(const std::string& name, std::vector<int64_t> shape);
  // `name`.weight, and `name`.bias of so many as it has rows.
  void add_linear(const std::string& name, int64_t out, int64_t in, bool bias);
  void add_norm(const std::string& name, int64_t width, bool bias);

  std::shared_ptr<const Model> model() const;

  std::string prefix, unit_prefix;  // of the names of parameters and of units that follow

 private:
  struct Declared {
    std::string name;
    Backward backward;
    std::vector<Parameter> parameters;
  };
  std::vector<Declared> units_;
};

}  // namespace zerorun
