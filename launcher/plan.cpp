#include "launcher/plan.h"

#include <ostream>

#include "core/error.h"
#include "launcher/build.h"
#include "launcher/known_devices.h"
#include "launcher/machine.h"
#include "launcher/prediction.h"
#include "launcher/pretrained.h"
#include "launcher/report.h"

namespace zerorun {
namespace {

std::string why_no_time(const std::optional<Rates>& rates, bool gpu) {
  if (!rates) return "the time of a step is in the plan once zerorun bench rates has measured the machine";
  if (gpu != rates->of_gpu()) {
    return fmt::format("the time of a step is not in the plan: it is for {}, and the rates at hand are of {}", gpu ? "GPUs" : "processors", gpu ? "a processor" : "a GPU");
  }
  return "the time of a step is not in the plan: what it needs was not measured; zerorun bench rates --path FOLDER measures a disk too";
}

}  // namespace

void plan(const CommandLine& line, std::ostream& out) {
  Settings settings = read_settings(line.config, line.overrides);
  settle_model(settings);
  micro_batches_of(settings, line.ranks);  // before the data is opened
  const Model model = make_model(settings);
  const int64_t windows = planned_validation_windows(settings);
  const auto rates = read_rates(rates_path());
  const bool gpu = plans_for_gpus(settings, rates);
  if (gpu) settings.run.device = Settings::Device::cuda;
  RunShape shape = planned_shape(settings, line.ranks, line.hosts, gpu ? Side::gpu : Side::host);
  Baseline baseline{process_anonymous_bytes(), {}};
  if (gpu) baseline.gpu.emplace();
  if (gpu && rates && rates->gpu) plan_on(measured_device(*rates), shape, baseline);
  const auto predict_with = [&](const Settings& other) { return predict(other, model, shape, windows); };
  const auto prediction = predict_with(settings);
  const auto memory = predicted_memory(prediction, model, std::vector<Baseline>(line.ranks, baseline));
  const auto time = predicted_time(settings, prediction, shape, rates);
  if (line.json) {
    out << plan_json(memory, predicted_communication(prediction), amounts_of(prediction.step, {line.ranks, line.hosts}), time) << '\n';
  } else {
    out << fmt::format("{} parameters in {} units, stage {}, {} rank{} on {} host{}\n\n", model.parameter_count(), model.unit_count(),
                       settings.zero_optimization.stage, line.ranks, line.ranks == 1 ? "" : "s", line.hosts, line.hosts == 1 ? "" : "s")
        << prediction_table(memory) << export_note(memory.front());
    out << (time ? step_line(*time) : why_no_time(rates, gpu)) << '\n';
  }
  refuse_if_over_limit(settings, memory.front(), peak_of(predict_with, model, memory.front()));
}

}  // namespace zerorun
