#include "launcher/plan.h"

#include <ostream>

#include "core/error.h"
#include "launcher/build.h"
#include "launcher/machine.h"
#include "launcher/planner/known_devices.h"
#include "launcher/prediction.h"
#include "launcher/pretrained.h"
#include "launcher/report.h"

namespace zerorun {

void plan(const CommandLine& line, std::ostream& out) {
  Settings settings = read_settings(line.config, line.overrides);
  settle_model(settings);
  micro_batches_of(settings, line.ranks);  // before the data is opened
  const Model model = make_model(settings);
  const int64_t windows = planned_validation_windows(settings);
  const Side device = settings.run.device == Settings::Device::cuda ? Side::gpu : Side::host;
  Baseline baseline{process_anonymous_bytes(), {}};
  if (device == Side::gpu) {  // what libraries take of it is known where rates were measured
    const auto rates = read_rates(rates_path());
    baseline.gpu = rates && rates->gpu ? baseline_of(*rates->gpu, line.ranks) : GpuBaseline();
  }
  const RunShape shape = planned_shape(settings, line.ranks, line.hosts, device);
  const auto predict_with = [&](const Settings& other) { return predict(other, model, shape, windows); };
  const auto prediction = predict_with(settings);
  const auto memory = predicted_memory(prediction, model, std::vector<Baseline>(line.ranks, baseline));
  const auto time = predicted_time(settings, prediction, shape);
  if (line.json) {
    out << plan_json(memory, predicted_communication(prediction), amounts_of(prediction.step, {line.ranks, line.hosts}), time) << '\n';
  } else {
    out << fmt::format("{} parameters in {} units, stage {}, {} rank{} on {} host{}\n\n", model.parameter_count(), model.unit_count(),
                       settings.zero_optimization.stage, line.ranks, line.ranks == 1 ? "" : "s", line.hosts, line.hosts == 1 ? "" : "s")
        << prediction_table(memory) << export_note(memory.front());
    out << (time ? step_line(*time) : std::string("the time of a step is in the plan once zerorun bench rates has measured the machine")) << '\n';
  }
  refuse_if_over_limit(settings, memory.front(), peak_of(predict_with, model, memory.front()));
}

}  // namespace zerorun
