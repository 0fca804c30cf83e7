#include "launcher/lr_schedule.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace zerorun {
namespace {

Settings schedule(Settings::Schedule name, int64_t steps, int64_t warmup, double floor = 0.1) {
  Settings settings;
  settings.optimizer.lr = 2.0;
  settings.training.steps = steps;
  settings.lr_scheduler = {.name = name, .warmup_steps = warmup, .min_lr_factor = floor};
  return settings;
}

TEST(LearningRate, WarmsUpFromTheFirstStep) {
  for (const auto name : {Settings::Schedule::cosine, Settings::Schedule::linear, Settings::Schedule::constant}) {
    const Settings settings = schedule(name, 100, 4);
    EXPECT_DOUBLE_EQ(learning_rate(settings, 0), 0.5);
    EXPECT_DOUBLE_EQ(learning_rate(settings, 1), 1.0);
    EXPECT_DOUBLE_EQ(learning_rate(settings, 3), 2.0);
    EXPECT_DOUBLE_EQ(learning_rate(settings, 4), 2.0);
  }
}

TEST(LearningRate, CosineFallsToItsFloorAtTheLastStep) {
  const Settings settings = schedule(Settings::Schedule::cosine, 15, 4);  // decays over steps 4..14
  EXPECT_DOUBLE_EQ(learning_rate(settings, 9), 2.0 * 0.55);
  EXPECT_DOUBLE_EQ(learning_rate(settings, 14), 0.2);
  EXPECT_NEAR(learning_rate(settings, 6), 2.0 * (0.1 + 0.9 * 0.9045084971874737), 1e-12);  // (1 + cos(pi / 5)) / 2
}

TEST(LearningRate, LinearFallsEvenly) {
  const Settings settings = schedule(Settings::Schedule::linear, 11, 0, 0.0);
  for (int64_t step = 0; step <= 10; ++step) EXPECT_NEAR(learning_rate(settings, step), 0.2 * (10 - step), 1e-12);
}

TEST(LearningRate, ConstantStays) {
  const Settings settings = schedule(Settings::Schedule::constant, 10, 2);
  EXPECT_DOUBLE_EQ(learning_rate(settings, 9), 2.0);
}

TEST(LearningRate, HoldsAtTheEdges) {
  EXPECT_DOUBLE_EQ(learning_rate(schedule(Settings::Schedule::cosine, 1, 0), 0), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(schedule(Settings::Schedule::cosine, 5, 5), 4), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(schedule(Settings::Schedule::cosine, 10, 0), 100), 0.2);
  EXPECT_THROW(learning_rate(schedule(Settings::Schedule::cosine, 10, 0), -1), Error);
}

}  // namespace
}  // namespace zerorun
