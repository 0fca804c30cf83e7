// The steps on the console, from rank 0: one line that is redrawn on a terminal, plain lines elsewhere. No colours.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include "launcher/step_metrics.h"

namespace zerorun {

// Times come from the metrics, not from a clock.
class Progress {
 public:
  struct Options {
    bool is_terminal = false;
    int64_t steps = 1;     // of the whole run
    int64_t log_freq = 10;  // plain lines: every so many steps, the first, the last, and where a validation was taken
  };
  // REQUIRES out outlives the progress.
  Progress(std::ostream& out, Options options);
  ~Progress() { finish(); }

  void step(const StepMetrics& metrics);
  // A line of its own; the bar is redrawn below by the next step.
  void message(std::string_view line);
  // Leaves the bar on the screen and ends its line. What is written afterwards stands below.
  void finish();

 private:
  std::string eta(int64_t step) const;
  std::string plain_line(const StepMetrics& metrics) const;
  std::string bar_line(const StepMetrics& metrics) const;
  void erase_bar();

  std::ostream& out_;
  Options options_;
  double seconds_per_step_ = 0;  // smoothed
  double seconds_since_drawn_ = 0;
  std::string bar_;  // on the screen now
};

// Whether standard output reaches a terminal. Under mpirun every rank's output is a terminal of mpirun's own, so it is
// mpirun's output that counts; where that cannot be seen (another host) the answer is no.
bool output_is_terminal();

}  // namespace zerorun
