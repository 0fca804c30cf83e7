#include "launcher/build.h"

#include <gtest/gtest.h>

namespace zerorun {
namespace {

using Place = Settings::OffloadDevice;

Settings settings_of_stage(int stage) {
  Settings settings;
  settings.training.micro_batch_size = 1;
  settings.training.global_batch_size = 2;
  settings.zero_optimization.stage = stage;
  return settings;
}

TEST(EngineOptionsOfSettings, ARankThatIsAloneKeepsAllWithoutSlots) {
  for (int stage = 0; stage <= 3; ++stage) {
    const auto sharding = engine_options(settings_of_stage(stage), 1).sharding;
    EXPECT_FALSE(sharding.optimizer || sharding.gradients || sharding.parameters || sharding.sums_each) << "stage " << stage;
  }
}

TEST(EngineOptionsOfSettings, WhatSleepsIsBroughtAsItsStageSaysOnOneRankToo) {
  auto settings = settings_of_stage(3);
  settings.zero_optimization.offload_param.device = Place::cpu;
  EXPECT_TRUE(engine_options(settings, 1).sharding.parameters);
  settings = settings_of_stage(1);
  settings.zero_optimization.offload_optimizer.device = Place::cpu;
  EXPECT_TRUE(engine_options(settings, 1).sharding.optimizer);
}

TEST(EngineOptionsOfSettings, SeveralRanksShardAsTheStageSays) {
  for (int stage = 0; stage <= 3; ++stage) {
    const auto sharding = engine_options(settings_of_stage(stage), 2).sharding;
    EXPECT_EQ(sharding.optimizer, stage >= 1);
    EXPECT_EQ(sharding.gradients, stage >= 2);
    EXPECT_EQ(sharding.parameters, stage >= 3);
  }
}

}  // namespace
}  // namespace zerorun
