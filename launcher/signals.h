// Requests to stop: SIGINT, SIGTERM and SIGUSR1 only set a flag, which the training loop reads between steps. A SIGTERM from the launcher
// is none: it kills right after, and whoever still prints is in the way. That one ends the process at once.
#pragma once

namespace zerorun {

// While it lives the three signals are caught. A second SIGINT kills, as by default. System calls are restarted.
// REQUIRES at most one in a process at a time. The destructor restores what was there before.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The number of the last signal that asked to stop since the constructor, or 0.
  int stop_requested() const;
};

}  // namespace zerorun
