// What metrics.jsonl says, over the steps.
#pragma once
#include <string>
#include <vector>

#include "launcher/step_metrics.h"

namespace zerorun::page {

// Loss with validation, norm of the gradient, tokens per second, learning rate: a chart each, of about 1000 points at most that keep the extremes. A value that
// is no number is a gap. REQUIRES a step.
std::string loss_curve(const std::vector<StepMetrics>& steps);
std::string small_curves(const std::vector<StepMetrics>& steps);

// A stretch of numbers without a gap, by index, made short (core/thinning.h).
struct Sample {
  double step, value;
  bool operator==(const Sample&) const = default;
};
std::vector<std::vector<Sample>> stretches_of(const std::vector<Sample>& samples);

}  // namespace zerorun::page
