// What is recorded of one step: a line of metrics.jsonl, a line on the console.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zerorun {

struct StepMetrics {
  int64_t step = 0;  // steps done, so the first is 1
  double loss = 0;   // mean over the target tokens of the step, all ranks
  double lr = 0;
  double grad_norm = 0;  // before clipping
  int64_t tokens = 0;    // of this step, all ranks
  double seconds = 0;
  std::optional<double> validation_loss = {};  // where one was taken after this step
  std::optional<double> loss_scale = {};       // in fp16: that the step ran with
  bool skipped = false;                        // in fp16: gradients overflowed, nothing was updated

  double tokens_per_second() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};

// One line of JSON without its newline. What is not finite becomes null.
std::string to_json(const StepMetrics& metrics);
// From its line, which stands at `place` ("metrics.jsonl:3"): null becomes NaN, keys that are not known are passed over. Throws Error(bad_data).
StepMetrics step_metrics_of(std::string_view line, const std::string& place);

}  // namespace zerorun
