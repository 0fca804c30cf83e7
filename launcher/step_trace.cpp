#include "launcher/step_trace.h"

#include "core/error.h"

namespace zerorun {

void StepTrace::before_step(int64_t step) {
  if (steps_ == 0 || step != 1) return;
  if (on_gpu_) profile_.emplace();
  trace_.start();
}

void StepTrace::after_step(int64_t step) {
  if (steps_ > 0 && step == steps_) end();
}

std::string StepTrace::finish() {
  end();
  return note_;
}

void StepTrace::end() {
  if (profile_) {
    try {
      for (const auto& activity : profile_->end()) trace_.add(fmt::format("GPU, stream {}", activity.stream), activity.name, activity.begin, activity.end);
    } catch (const Error& error) {
      note_ = fmt::format("trace.json has only what the host did: {}", error.what());
    }
    profile_.reset();
  }
  trace_.stop();
}

}  // namespace zerorun
