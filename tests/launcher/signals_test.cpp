#include "launcher/signals.h"

#include <gtest/gtest.h>

#include <csignal>

#include "core/error.h"

namespace zerorun {
namespace {

TEST(StopSignals, RememberWhichSignalAskedToStop) {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    const StopSignals signals;
    EXPECT_EQ(signals.stop_requested(), 0);
    std::raise(signal);
    EXPECT_EQ(signals.stop_requested(), signal);
  }
}

TEST(StopSignals, ASecondInterruptKills) {
  EXPECT_EXIT(
      {
        const StopSignals signals;
        std::raise(SIGINT);
        if (signals.stop_requested() == SIGINT) std::raise(SIGINT);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(StopSignals, TheOthersOnlyAskHoweverOftenTheyCome) {
  const StopSignals signals;
  for (int again = 0; again < 3; ++again) std::raise(SIGTERM);
  EXPECT_EQ(signals.stop_requested(), SIGTERM);
}

TEST(StopSignals, RestoreWhatWasThereBefore) {
  { const StopSignals signals; }
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    struct sigaction now {};
    sigaction(signal, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);
  }
}

TEST(StopSignals, AreOneAtATime) {
  const StopSignals signals;
  EXPECT_THROW(StopSignals(), Error);
  std::raise(SIGUSR1);
  EXPECT_EQ(signals.stop_requested(), SIGUSR1);
}

}  // namespace
}  // namespace zerorun
