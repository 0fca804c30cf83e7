#include "launcher/estimate/published_figures.h"

#include <cmath>

#include "launcher/estimate/checked_product.h"
#include "launcher/estimate/inference_memory.h"

namespace zerorun {
namespace {

double two_digits(double value) { return std::nearbyint(value * 100) / 100; }
double rounded_gib(int64_t bytes) { return two_digits(static_cast<double>(bytes) / (1 << 30)); }

}  // namespace

std::vector<PublishedFigure> published_figures(const Architecture& model, int64_t parameters, const ActivationSizes& sizes) {
  const ActivationSizes half{sizes.seq_len, sizes.samples, 2};
  const int64_t linear = linear_part(model.blocks, half), quadratic = quadratic_part(model.blocks, half);
  const int64_t layer = linear + quadratic, without_masks = linear / 34 * 32 + quadratic;
  const auto inference = inference_memory(model, half, 1, 0);
  const double weights = rounded_gib(2 * parameters), optimizer = rounded_gib(14 * parameters), kept_in_inference = rounded_gib(2 * without_masks);
  const double kept_in_training = two_digits(rounded_gib(2 * layer) * static_cast<double>(model.blocks.layers));
  const int64_t right_in_training = checked_product({model.blocks.layers, layer}), exact = model.parameters;
  const std::string count = parameters == exact ? "" : "round count";
  return {
      {"weights", "weights", "2P", weights, 2 * exact, count},
      {"moments", "momentum and variance", "8P", rounded_gib(8 * parameters), 8 * exact, count},
      {"master", "fp32 copy of the weights", "4P", rounded_gib(4 * parameters), 4 * exact, count},
      {"gradients", "gradients", "2P", rounded_gib(2 * parameters), 2 * exact, count},
      {"optimizer", "optimizer with gradients", "14P", optimizer, 14 * exact, count},
      {"inference_activations", "activations, inference", "2(32sbh+5as^2b)", kept_in_inference, inference.activations, "doubled; not kept without autograd"},
      {"inference_total", "total, inference", "", two_digits(weights + kept_in_inference), inference.total(), "KV cache and logits left out"},
      {"training_activations", "activations, training", "2L(34sbh+5as^2b)", kept_in_training, right_in_training, "doubled; rounded before x L"},
      {"training_total", "total, training", "", two_digits(weights + optimizer + kept_in_training), 16 * exact + right_in_training, ""},
  };
}

}  // namespace zerorun
