// When two fp32 trainings agree: the tolerances that float32 against float64 suggests.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.h"
#include "tests/zero/world.h"

namespace zerorun::testing {

// Key biases have a true gradient of 0, computed as noise that AdamW blows up: elements [C, 2C) of c_attn.bias.
inline bool has_no_gradient(const std::string& name, size_t element, size_t count) {
  return name.ends_with("attn.c_attn.bias") && element >= count / 3 && element < 2 * count / 3;
}

inline std::vector<float> with_gradient(const std::string& name, std::vector<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (has_no_gradient(name, i, values.size())) values[i] = 0;
  }
  return values;
}

// AdamW: at most 5e-4, and 99.5 % of the elements within 2e-6. SGD: 1e-5 relative in the L2 norm.
inline std::string weights_disagree(const std::string& name, const std::vector<float>& a, const std::vector<float>& b, bool sgd) {
  if (sgd) return relative_l2(a, b) < 1e-5 ? "" : fmt::format("weight {}: relative L2 {}", name, relative_l2(a, b));
  size_t counted = 0, near = 0;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (has_no_gradient(name, i, a.size())) continue;
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    largest = std::max(largest, difference);
    near += difference < 2e-6;
    ++counted;
  }
  const bool agree = largest < 5e-4 && static_cast<double>(near) >= 0.995 * static_cast<double>(counted);
  return agree ? "" : fmt::format("weight {}: largest difference {}, {} of {} near", name, largest, near, counted);
}

// Losses to 1e-5; gradients of every step to 1e-5 in the relative L2 norm; weights as above.
// Empty where they agree. Gradients that are zero but for noise (key biases) count by their parameter as a whole.
inline std::string first_disagreement(const TrainingResult& a, const TrainingResult& b, bool sgd) {
  for (size_t i = 0; i < a.losses.size(); ++i) {
    if (!(std::abs(a.losses[i] - b.losses[i]) < 1e-5)) return fmt::format("loss of step {}: {} and {}", i, a.losses[i], b.losses[i]);
    if (!(std::abs(a.norms[i] - b.norms[i]) < 1e-4 * b.norms[i])) return fmt::format("norm of step {}: {} and {}", i, a.norms[i], b.norms[i]);
  }
  if (!(std::abs(a.validation_loss - b.validation_loss) < 1e-5)) return "validation loss";
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    for (const auto& [name, gradient] : a.gradients[i]) {
      const double off = relative_l2(with_gradient(name, gradient), with_gradient(name, b.gradients[i].at(name)));
      if (!(off < 1e-5)) return fmt::format("step {}: gradient of {}: relative L2 {}", i, name, off);
    }
  }
  for (const auto& [name, weight] : a.weights) {
    const auto disagreement = weights_disagree(name, weight, b.weights.at(name), sgd);
    if (!disagreement.empty()) return disagreement;
  }
  return {};
}

}  // namespace zerorun::testing
