#include "launcher/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace zerorun {
namespace {

double decay(Settings::Schedule schedule, double progress) {
  switch (schedule) {
    case Settings::Schedule::cosine: return (1 + std::cos(std::numbers::pi * progress)) / 2;
    case Settings::Schedule::linear: return 1 - progress;
    case Settings::Schedule::constant: return 1;
  }
  fail(ErrorKind::bug, "unknown schedule {}", static_cast<int>(schedule));
}

}  // namespace

double learning_rate(const Settings& settings, int64_t step) {
  ZR_CHECK(step >= 0, "step is {}, expected at least 0", step);
  const double lr = settings.optimizer.lr;
  const auto& [schedule, warmup, floor] = settings.lr_scheduler;
  if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const int64_t span = settings.training.steps - 1 - warmup;
  const double progress = span > 0 ? std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(span)) : 0.0;
  return lr * (floor + (1 - floor) * decay(schedule, progress));
}

}  // namespace zerorun
