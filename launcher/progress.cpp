#include "launcher/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ostream>

namespace zerorun {
namespace {

// 950, 12.3k, 4.56M
std::string short_number(double value) {
  if (value < 1000) return fmt::format("{:.0f}", value);
  if (value < 1e6) return fmt::format("{:.1f}k", value / 1e3);
  return fmt::format("{:.2f}M", value / 1e6);
}

// 0:42, 12:05, 3:07:09
std::string short_time(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::min(seconds, 1e15)));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

Progress::Progress(std::ostream& out, Options options) : out_(out), options_(options) {}

void Progress::step(const StepMetrics& metrics) {
  constexpr double kSmoothing = 0.1, kRedraw = 0.1;  // seconds between two drawings
  const double weight = seconds_per_step_ == 0 ? 1 : kSmoothing;
  seconds_per_step_ += weight * (metrics.seconds - seconds_per_step_);
  seconds_since_drawn_ += metrics.seconds;
  const bool always = metrics.step == 1 || metrics.step == options_.steps || metrics.validation_loss.has_value();
  if (!options_.is_terminal) {
    if (always || metrics.step % options_.log_freq == 0) out_ << plain_line(metrics) << '\n' << std::flush;
    return;
  }
  if (metrics.validation_loss) message(plain_line(metrics));
  if (!always && seconds_since_drawn_ < kRedraw) return;
  erase_bar();
  bar_ = bar_line(metrics);
  out_ << bar_ << std::flush;
  seconds_since_drawn_ = 0;
}

void Progress::message(std::string_view line) {
  erase_bar();
  out_ << line << '\n' << std::flush;
}

void Progress::finish() {
  if (!bar_.empty()) out_ << '\n' << std::flush;
  bar_.clear();
}

std::string Progress::eta(int64_t step) const {
  return short_time(static_cast<double>(std::max<int64_t>(options_.steps - step, 0)) * seconds_per_step_);
}

std::string Progress::plain_line(const StepMetrics& metrics) const {
  const std::string validation = metrics.validation_loss ? fmt::format("  validation loss {:.4f}", *metrics.validation_loss) : "";
  return fmt::format("step {}/{}  loss {:.4f}{}  lr {:.2e}  norm {:.3g}  {} tok/s  ETA {}", metrics.step, options_.steps, metrics.loss,
                     validation, metrics.lr, metrics.grad_norm, short_number(metrics.tokens_per_second()), eta(metrics.step));
}

std::string Progress::bar_line(const StepMetrics& metrics) const {
  constexpr int64_t kWidth = 20;
  const auto done = static_cast<size_t>(std::clamp<int64_t>(kWidth * metrics.step / options_.steps, 0, kWidth));
  const std::string bar = std::string(done, '#') + std::string(kWidth - done, '.');
  return fmt::format("[{}] step {}/{} loss {:.4f} {} tok/s ETA {}", bar, metrics.step, options_.steps, metrics.loss,
                     short_number(metrics.tokens_per_second()), eta(metrics.step));
}

void Progress::erase_bar() {
  if (!bar_.empty()) out_ << "\r\x1b[K";
  bar_.clear();
}

bool output_is_terminal() {
  if (isatty(STDOUT_FILENO) == 0) return false;
  if (std::getenv("OMPI_COMM_WORLD_RANK") == nullptr) return true;
  char target[64] = {};
  const std::string link = fmt::format("/proc/{}/fd/1", getppid());
  if (readlink(link.c_str(), target, sizeof target - 1) <= 0) return false;
  const std::string_view output = target;
  return output.starts_with("/dev/pts/") || output.starts_with("/dev/tty") || output == "/dev/console";
}

}  // namespace zerorun
