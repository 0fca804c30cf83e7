#include "core/architectures/declaration.h"

#include <fmt/ranges.h>

#include "core/architectures/architecture.h"
#include "core/error.h"

namespace zerorun {
namespace {

class DeclaredUnit final : public Unit {
 public:
  DeclaredUnit(std::string name, std::vector<Parameter> parameters, Declaration::Backward backward) : Unit(std::move(name), std::move(parameters)), backward_(backward) {}

  Carry forward(const StepContext&, Weights, Carry) const override { fail(ErrorKind::bug, "unit {} is declared, and cannot compute", name()); }
  bool backward_needs_weights() const override { return backward_ == Declaration::Backward::needs_weights; }
  bool writes_gradients_in_forward() const override { return backward_ == Declaration::Backward::done_in_forward; }

 private:
  Declaration::Backward backward_;
};

}  // namespace

void Declaration::unit(std::string name, Backward backward) { units_.push_back({unit_prefix + name, backward, {}}); }

void Declaration::add(const std::string& name, std::vector<int64_t> shape) {
  Parameter parameter;
  parameter.name = prefix + name;
  parameter.shape = std::move(shape);
  const int64_t count = parameter.count();  // 0 where it overflows
  if (count <= 0 || count > kMostParameters) {
    fail(ErrorKind::configuration, "{} would have the shape [{}]: a model has at most {} parameters", parameter.name, fmt::join(parameter.shape, ", "), kMostParameters);
  }
  units_.back().parameters.push_back(std::move(parameter));
}

void Declaration::add_linear(const std::string& name, int64_t out, int64_t in, bool bias) {
  add(name + ".weight", {out, in});
  if (bias) add(name + ".bias", {out});
}

void Declaration::add_norm(const std::string& name, int64_t width, bool bias) {
  add(name + ".weight", {width});
  if (bias) add(name + ".bias", {width});
}

std::shared_ptr<const Model> Declaration::model() const {
  std::vector<std::shared_ptr<const Unit>> units;
  for (const auto& [name, backward, parameters] : units_) units.push_back(std::make_shared<DeclaredUnit>(name, parameters, backward));
  return std::make_shared<const Model>(std::move(units));
}

}  // namespace zerorun
