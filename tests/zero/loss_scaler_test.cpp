#include "zero/loss_scaler.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

LossScaling dynamic(int power, int64_t window, int64_t hysteresis, double minimum = 1) { return {0, power, window, hysteresis, minimum}; }

std::vector<double> scales(LossScaler scaler, const std::vector<bool>& finite) {
  std::vector<double> all;
  for (const bool step : finite) {
    scaler.step(step);
    all.push_back(scaler.scale());
  }
  return all;
}

TEST(LossScaler, HalvesAfterAnOverflowAndDoublesAfterAWindow) {
  // By hand from the rules: the window is counted from the last overflow, the first from one step before the run.
  EXPECT_EQ(scales(LossScaler(dynamic(4, 3, 1)), {true, true, true, false, true, true, true, true}),
            (std::vector<double>{16, 16, 32, 16, 16, 16, 32, 32}));
}

TEST(LossScaler, ForgivesOverflowsBeforeTheHysteresisIsUsedUp) {
  EXPECT_EQ(scales(LossScaler(dynamic(4, 100, 3)), {false, false, false, false}), (std::vector<double>{16, 16, 8, 4}));
}

TEST(LossScaler, AWindowWithoutOverflowRestoresTheHysteresis) {
  EXPECT_EQ(scales(LossScaler(dynamic(4, 2, 2)), {false, true, true, false, false}), (std::vector<double>{16, 16, 32, 32, 16}));
}

TEST(LossScaler, AnOverflowAtTheMinimumIsAnError) {
  LossScaler scaler(dynamic(1, 100, 1, 1));
  scaler.step(false);
  EXPECT_EQ(scaler.scale(), 1);
  try {
    scaler.step(false);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::non_finite);
  }
}

TEST(LossScaler, AFixedScaleDoesNotMove) {
  LossScaler scaler({.loss_scale = 128});
  EXPECT_EQ(scaler.scale(), 128);
  EXPECT_FALSE(scaler.is_dynamic());
  EXPECT_THROW(scaler.step(true), Error);
}

}  // namespace
}  // namespace zerorun
