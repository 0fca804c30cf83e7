#include "launcher/advice.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace zerorun {
namespace {

using Device = Settings::OffloadDevice;

constexpr int64_t kMiB = int64_t{1} << 20;

// 100 MiB, less what each setting saves.
int64_t peak_with(const Settings& s) {
  int64_t peak = 100 * kMiB;
  if (s.activation_checkpoint.mode == Settings::Checkpointing::full) peak -= 30 * kMiB;
  if (s.zero_optimization.offload_optimizer.device != Device::none) peak -= 40 * kMiB;
  if (s.zero_optimization.offload_param.device != Device::none) fail(ErrorKind::configuration, "not with this model");
  if (!s.metrics.export_hf) peak -= 5 * kMiB;
  if (s.training.micro_batch_size == 1) peak -= 20 * kMiB;
  return peak;
}

Settings settings() {
  Settings settings;
  settings.training.micro_batch_size = 4;
  return settings;
}

TEST(WaysToSave, AreTheThreeThatSaveMostEachAlone) {
  EXPECT_EQ(ways_to_save(settings(), 100 * kMiB, peak_with, Side::host),
            "zero_optimization.offload_optimizer: {device: nvme, path: FOLDER} saves 40.00 MiB, activation_checkpoint.mode: full saves 30.00 MiB, "
            "activation_checkpoint: {mode: full, offload: nvme, path: FOLDER} saves 30.00 MiB");
}

TEST(WaysToSave, BesideAGpuThereIsHostMemory) {
  EXPECT_EQ(ways_to_save(settings(), 100 * kMiB, peak_with, Side::gpu),
            "zero_optimization.offload_optimizer: {device: cpu} saves 40.00 MiB, activation_checkpoint.mode: full saves 30.00 MiB, "
            "activation_checkpoint: {mode: full, offload: cpu} saves 30.00 MiB");
}

TEST(WaysToSave, WhatIsSoAlreadyIsNotAdvised) {
  auto small = settings();
  small.zero_optimization.offload_optimizer.device = Device::cpu;
  EXPECT_EQ(ways_to_save(small, 60 * kMiB, peak_with, Side::gpu).find("offload_optimizer"), std::string::npos);
}

TEST(WaysToFit, StopAtTheFirstThatFits) {
  EXPECT_EQ(ways_to_fit(settings(), 100 * kMiB, 60 * kMiB, peak_with, Side::gpu),
            "with metrics.export_hf: false it takes 95.00 MiB, with training.micro_batch_size: 1 too 75.00 MiB, with activation_checkpoint.mode: full too 45.00 MiB, which fits");
}

}  // namespace
}  // namespace zerorun
