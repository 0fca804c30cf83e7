// Rounding at random: which bits it takes, that it is right in the mean, and that no stage and no place to sleep changes a bit of the training.
#include "zero/rounding.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/ops/kernels/number_bits.h"
#include "core/random.h"
#include "tests/zero/world.h"
#include "zero/flat_kernels.h"
#include "zero/flat_span.h"

namespace zerorun::testing {
namespace {

using kernels::InstructionSet;

constexpr Rounding kAtRandom{.at_random = true, .key = {7, 8}, .stream = 9, .step = 3, .first_element = (int64_t{1} << 34) - 10};

std::vector<float> numbers(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  fill_normal(values.data(), 0, count, 1, 2, 0.02f);
  return values;
}

TEST(RoundingAtRandom, TakesTheWordOfTheElement) {
  for (const auto set : {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512}) {
    if (!kernels::machine_has(set)) continue;
    for (const int64_t count : {0, 1, 3, 509, 512, 2000}) {
      for (const int64_t begin : {0, 1, 2, 3, 4}) {
        const auto values = numbers(count);
        std::vector<uint16_t> rounded(static_cast<size_t>(count) + 1, 0xabcd);
        kernels::flat_kernels(set).round_at_random(values.data(), count, kAtRandom.from(begin), rounded.data());
        for (int64_t i = 0; i < count; ++i) {
          const auto element = static_cast<uint64_t>(kAtRandom.first_element + begin + i), block = element / 4;
          const auto words = philox4x32_10({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), kAtRandom.step, kAtRandom.stream}, kAtRandom.key);
          ASSERT_EQ(rounded[static_cast<size_t>(i)], ops::narrow_to_bf16_at_random(values[static_cast<size_t>(i)], words[element % 4]))
              << "set " << static_cast<int>(set) << ", element " << i << " of " << count << " from " << begin;
        }
        EXPECT_EQ(rounded.back(), 0xabcd) << "past the end";
      }
    }
  }
}

TEST(RoundingAtRandom, IsRightInTheMean) {
  constexpr int64_t kCount = 40'000;
  constexpr float kValue = 1.0f + 0.3f / 128;  // 0.3 of the way between two numbers of bf16
  std::vector<float> masters(kCount, kValue);
  std::vector<uint16_t> rounded(kCount);
  round_masters({masters.data(), kCount, at::kFloat}, {rounded.data(), kCount, at::kBFloat16}, kAtRandom);
  double mean = 0;
  for (const uint16_t bits : rounded) {
    const float value = ops::widen_bf16(bits);
    EXPECT_TRUE(value == 1.0f || value == 1.0f + 1.0f / 128) << value;
    mean += static_cast<double>(value) / kCount;
  }
  EXPECT_NEAR(mean, kValue, 0.01 / 128);
}

TEST(RoundingAtRandom, KeepsWhatIsNoOrdinaryNumber) {
  for (const uint32_t random : {0u, 0x8000u, 0xffffffffu}) {
    EXPECT_EQ(ops::narrow_to_bf16_at_random(INFINITY, random), 0x7f80u);
    EXPECT_EQ(ops::narrow_to_bf16_at_random(-INFINITY, random), 0xff80u);
    EXPECT_EQ(ops::narrow_to_bf16_at_random(-0.0f, random), 0x8000u);
    EXPECT_EQ(ops::narrow_to_bf16_at_random(1.5f, random), ops::narrow_to_bf16(1.5f));
    EXPECT_TRUE(std::isnan(ops::widen_bf16(ops::narrow_to_bf16_at_random(std::bit_cast<float>(0x7fffffffu), random))));
  }
}

TrainingCase at_random(int stage, bool sgd = false) {
  TrainingCase test;
  test.stage = stage;
  test.ranks = 2;
  test.global_batch_size = 8;
  test.seq_len = 11;
  test.precision = {.parameters = at::kBFloat16, .stochastic_rounding = true};
  test.sgd = sgd;
  test.gradients_from = test.steps - 1;
  return test;
}

TEST(RoundingAtRandom, GivesTheSameTrainingAtEveryStage) {
  for (const bool sgd : {false, true}) {
    const auto wanted = train(at_random(0, sgd));
    for (const int stage : {1, 2, 3}) EXPECT_EQ(first_difference(train(at_random(stage, sgd)), wanted), "") << "stage " << stage;
    auto to_nearest = at_random(0, sgd);
    to_nearest.precision.stochastic_rounding = false;
    EXPECT_NE(first_difference(train(to_nearest), wanted), "");
  }
}

// Rounded beside the update, on the way to weights that sleep apart, or on the device.
TEST(RoundingAtRandom, GivesTheSameTrainingWhereverWhatIsRoundedSleeps) {
  using Device = SleepingPlace::Device;
  const auto wanted = train(at_random(3));
  for (const auto parameters : {Device::none, Device::host, Device::disk}) {
    for (const auto optimizer : {Device::none, Device::host, Device::disk}) {
      auto test = at_random(3);
      test.offload.parameters = {parameters, std::filesystem::current_path().string(), true};
      test.offload.optimizer = {optimizer, std::filesystem::current_path().string(), true};
      test.offload.disk_stripe = 2048;
      test.offload.disk_batch_bytes = 100'000;
      EXPECT_EQ(first_difference(train(test), wanted), "") << "parameters " << static_cast<int>(parameters) << ", optimizer " << static_cast<int>(optimizer);
    }
  }
}

TEST(RoundingAtRandom, IsOfBf16Alone) {
  auto test = at_random(0);
  test.precision.parameters = at::kHalf;
  EXPECT_THROW(train(test), Error);
}

}  // namespace
}  // namespace zerorun::testing
