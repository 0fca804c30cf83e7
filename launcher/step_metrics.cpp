#include "launcher/step_metrics.h"

#include <nlohmann/json.hpp>

namespace zerorun {

std::string to_json(const StepMetrics& metrics) {
  nlohmann::ordered_json line = {{"step", metrics.step},           {"loss", metrics.loss},
                                 {"lr", metrics.lr},               {"grad_norm", metrics.grad_norm},
                                 {"tokens", metrics.tokens},       {"seconds", metrics.seconds},
                                 {"tokens_per_second", metrics.tokens_per_second()}};
  if (metrics.validation_loss) line["validation_loss"] = *metrics.validation_loss;
  if (metrics.loss_scale) line["loss_scale"] = *metrics.loss_scale;
  if (metrics.skipped) line["skipped"] = true;
  return line.dump();
}

}  // namespace zerorun
