// Predicted against measured memory where something sleeps.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/zero/memory_case.h"
#include "zero/group_layout.h"

namespace zerorun::testing {
namespace {

std::vector<Case> offloaded_cases() {
  using Device = SleepingPlace::Device;
  const std::string folder = std::filesystem::current_path().string();  // not that of temporary files, which may be memory
  std::vector<Case> cases;
  for (const int ranks : {1, 2, 3}) {
    for (int stage = 0; stage <= 3; ++stage) {
      for (const bool parameters : {false, true}) {
        for (const bool optimizer : {false, true}) {
          for (const bool overlaps : {false, true}) {
            if ((parameters && stage < 3) || (!parameters && !optimizer)) continue;
            const int n = static_cast<int>(cases.size());
            const SleepingPlace place{n % 3 ? Device::host : Device::disk, n % 3 ? "" : folder, overlaps};
            Case c{n % 2, stage, ranks, 1 + n % 2, n % 4 == 0, n % 5 ? 1 : 5, n % 2 == 0, n % 3 == 1};
            if (n % 4 < 2) c.precision = {at::kBFloat16, n % 4 == 0 ? at::kFloat : at::kBFloat16};
            c.recompute = n % 2 == 0;
            c.on_one_host = n % 5 == 2;
            c.updated_early = n % 7 < 3;
            if (parameters) c.offload.parameters = place;
            if (optimizer) c.offload.optimizer = place;
            if (n % 5 == 4) c.offload.ratio = 0.5;
            c.offload.buffer_count = 2 + n % 2;
            c.offload.verify_disk = n % 2 == 0;
            cases.push_back(c);
            if (!c.recompute) continue;
            c.offload.activations = place;
            cases.push_back(c);
            if (stage == 3) continue;
            c.offload.optimizer = {};
            cases.push_back(c);
          }
        }
      }
    }
  }
  return cases;
}

class OffloadedMemory : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Lattice, OffloadedMemory, ::testing::ValuesIn(offloaded_cases()), name_of_case);

TEST_P(OffloadedMemory, PredictedIsMeasuredInEveryCategory) { expect_exact_prediction(GetParam()); }

// Of a model that is large beside the 4 KiB to which a store rounds.
TEST(OffloadedMemoryTruth, WithEverythingOffloadedTheDeviceHoldsSlotsAndTheHostTheRest) {
  const Model model = make_llama({.vocab_size = 4000, .hidden_size = 512, .num_hidden_layers = 8, .num_attention_heads = 8, .num_key_value_heads = 8,
                                  .intermediate_size = 1376, .max_position_embeddings = 64});
  for (const auto& [precision, bytes] : {std::pair(Precision{}, 16.0), std::pair(Precision{at::kBFloat16, at::kFloat}, 18.0)}) {
    DryRunOptions options;
    options.engine.sharding = Sharding::of_stage(3);
    options.engine.precision = precision;
    options.engine.recompute = true;
    options.engine.offload.parameters.device = options.engine.offload.optimizer.device = SleepingPlace::Device::host;
    options.workload = {1, 8, 1, 0, 0};
    const auto memory = dry_run(model, *make_adamw({}), options).memory;
    const double parameters = static_cast<double>(model.parameter_count());
    EXPECT_LE(static_cast<double>(memory.peak_of(Category::host)), 1.02 * bytes * parameters);
    EXPECT_GE(static_cast<double>(memory.peak_of(Category::host)), bytes * parameters);
    for (const auto category : {Category::parameters, Category::gradients, Category::optimizer}) EXPECT_EQ(memory.peak_of(category), 0) << name_of(category);
    int64_t largest = 0;
    for (const auto& group : model.groups()) largest = std::max(largest, GroupLayout(group, 1).padded_count());
    EXPECT_LE(memory.peak_of(Category::gathered), 2 * largest * precision.parameter_bytes()) << "two slots";
    EXPECT_LE(memory.peak_of(Category::communication), 2 * largest * 4 + (2 << 20)) << "a gradient that is made, one on its way, and scratch";
  }
}

int64_t peak_with_layers(int64_t layers, const SleepingPlace& place, Category category) {
  const Model model = make_llama({.vocab_size = 64, .hidden_size = 64, .num_hidden_layers = layers, .num_attention_heads = 2, .num_key_value_heads = 2,
                                  .intermediate_size = 128, .max_position_embeddings = 256});
  DryRunOptions options;
  options.engine.sharding = Sharding::of_stage(3);
  options.engine.recompute = true;
  options.engine.offload.activations = place;
  options.workload = {4, 256, 1, 0, 0};
  return dry_run(model, *make_adamw({}), options).memory.peak_of(category);
}

TEST(OffloadedMemoryTruth, WithActivationsAsleepTheDeviceHoldsThoseOfOneUnitWhateverTheDepth) {
  using Device = SleepingPlace::Device;
  constexpr int64_t kFrame = 4 * 256 * 64 * 4;
  EXPECT_EQ(peak_with_layers(16, {}, Category::activations) - peak_with_layers(8, {}, Category::activations), 8 * kFrame);
  for (const bool overlaps : {false, true}) {
    const SleepingPlace host{Device::host, "", overlaps};
    EXPECT_EQ(peak_with_layers(16, host, Category::activations), peak_with_layers(8, host, Category::activations));
    EXPECT_EQ(peak_with_layers(16, host, Category::host), (overlaps ? 15 : 16) * kFrame);
    EXPECT_EQ(peak_with_layers(16, {Device::disk, "", overlaps}, Category::disk), (overlaps ? 15 : 16) * kFrame);
  }
}

}  // namespace
}  // namespace zerorun::testing
