// Figures for training and inference as they are commonly published, beside the right ones. Three mistakes are common: formulas that are bytes of 16-bit
// activations already are doubled "for 16 bits"; a layer's figure is rounded before it is multiplied by the layers; and inference is said to keep what
// autograd keeps. Published tables count gradients with the optimizer: 14 bytes a parameter.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/architectures/architecture.h"
#include "launcher/estimate/activation_formulas.h"

namespace zerorun {

struct PublishedFigure {
  std::string key;  // in JSON
  std::string name, formula;
  double published = 0;          // GiB, called GB
  std::optional<int64_t> right;  // bytes
  std::string note;              // what is wrong with the published one; empty where nothing is
};

// `parameters`: the round count that tables are published with, or the exact one. The right figures are of the exact count.
std::vector<PublishedFigure> published_figures(const Architecture& model, int64_t parameters, const ActivationSizes& sizes);

}  // namespace zerorun
