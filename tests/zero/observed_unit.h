// Units that say when they compute.
#pragma once
#include <torch/csrc/autograd/custom_function.h>

#include <functional>
#include <memory>
#include <vector>

#include "core/model.h"

namespace zerorun::testing {

// Called where a unit computes: with its name, and whether that is backward.
using OnCompute = std::function<void(const std::string& unit, bool backward)>;

// Hands on what it gets; calls in its backward.
struct CallInBackward : torch::autograd::Function<CallInBackward> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input, int64_t call) {
    context->saved_data["call"] = call;
    return input.view_as(input);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    (*reinterpret_cast<std::function<void()>*>(context->saved_data["call"].toInt()))();
    return {gradients[0], {}};
  }
};

class ObservedUnit final : public Unit {
 public:
  ObservedUnit(const Unit& inner, OnCompute on_compute)
      : Unit(inner.name(), inner.parameters()), inner_(inner), on_compute_(std::move(on_compute)), in_backward_([this] { on_compute_(name(), true); }) {}
  Carry forward(const StepContext& context, Weights weights, Carry carry) const override {
    auto out = inner_.forward(context, weights, std::move(carry));
    on_compute_(name(), false);
    out[0] = CallInBackward::apply(out[0], reinterpret_cast<int64_t>(&in_backward_));
    return out;
  }
  bool backward_needs_weights() const override { return inner_.backward_needs_weights(); }
  bool writes_gradients_in_forward() const override { return inner_.writes_gradients_in_forward(); }
  bool gradients_come_from_ops() const override { return inner_.gradients_come_from_ops(); }

 private:
  const Unit& inner_;
  const OnCompute on_compute_;
  std::function<void()> in_backward_;
};

// REQUIRES that `plain` outlives it.
inline Model observed(const Model& plain, const OnCompute& on_compute) {
  std::vector<std::shared_ptr<const Unit>> units;
  for (int u = 0; u < plain.unit_count(); ++u) units.push_back(std::make_shared<ObservedUnit>(plain.unit(u), on_compute));
  return Model(units);
}

}  // namespace zerorun::testing
