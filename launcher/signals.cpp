#include "launcher/signals.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "core/error.h"

namespace zerorun {
namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGUSR1};

// A handler has no argument to carry an object: the process has one set of signals, and this is its state.
volatile std::sig_atomic_t requested = 0;
bool caught = false;
bool launched = false;
std::array<struct sigaction, kSignals.size()> previous;

// mpirun, or its daemon on this host, is the parent of the ranks that it starts.
bool launcher_kills(int signal, const siginfo_t& info) { return signal == SIGTERM && launched && info.si_pid == getppid(); }

void request_stop(int signal, siginfo_t* info, void*) {
  if (launcher_kills(signal, *info)) _exit(128 + SIGTERM);
  requested = signal;
}

}  // namespace

StopSignals::StopSignals() {
  ZR_CHECK(!caught, "two StopSignals at a time");
  caught = true;
  requested = 0;
  launched = std::getenv("OMPI_COMM_WORLD_RANK") != nullptr;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_sigaction = request_stop;
    action.sa_flags = SA_RESTART | SA_SIGINFO | (kSignals[i] == SIGINT ? SA_RESETHAND : 0);
    sigaction(kSignals[i], &action, &previous[i]);
  }
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous[i], nullptr);
  caught = false;
}

int StopSignals::stop_requested() const { return requested; }

}  // namespace zerorun
