#include "launcher/signals.h"

#include <array>
#include <csignal>

#include "core/error.h"

namespace zerorun {
namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGUSR1};

// A handler has no argument to carry an object: the process has one set of signals, and this is its state.
volatile std::sig_atomic_t requested = 0;
bool caught = false;
std::array<struct sigaction, kSignals.size()> previous;

void request_stop(int signal) { requested = signal; }

}  // namespace

StopSignals::StopSignals() {
  ZR_CHECK(!caught, "two StopSignals at a time");
  caught = true;
  requested = 0;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = request_stop;
    action.sa_flags = SA_RESTART | (kSignals[i] == SIGINT ? SA_RESETHAND : 0);
    sigaction(kSignals[i], &action, &previous[i]);
  }
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous[i], nullptr);
  caught = false;
}

int StopSignals::stop_requested() const { return requested; }

}  // namespace zerorun
