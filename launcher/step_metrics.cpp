#include "launcher/step_metrics.h"

#include <nlohmann/json.hpp>

#include "launcher/json_value.h"

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

StepMetrics step_metrics_of(std::string_view line, const std::string& place) {
  const auto document = JsonValue::parse(line, place);
  const JsonValue json(document, place);
  StepMetrics metrics{.step = json["step"].integer(1),
                      .loss = json["loss"].number(),
                      .lr = json["lr"].number(),
                      .grad_norm = json["grad_norm"].number(),
                      .tokens = json["tokens"].integer(),
                      .seconds = json["seconds"].number()};
  if (const auto loss = json.find("validation_loss")) metrics.validation_loss = loss->number();
  if (const auto scale = json.find("loss_scale")) metrics.loss_scale = scale->number();
  if (const auto skipped = json.find("skipped")) metrics.skipped = skipped->truth();
  return metrics;
}

}  // namespace zerorun
