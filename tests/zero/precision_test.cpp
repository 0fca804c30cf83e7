// bf16 and fp16 over fp32 masters: the same bits however the step is run, near fp32, and a loss scale that all ranks share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "tests/zero/tolerances.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

struct Variant {
  bool llama;
  at::ScalarType dtype;
  at::ScalarType sums;
  bool sgd;
};

std::string name_of_variant(const ::testing::TestParamInfo<Variant>& info) {
  return fmt::format("{}{}Sums{}{}", info.param.llama ? "Llama" : "Gpt2", c10::toString(info.param.dtype), c10::toString(info.param.sums),
                     info.param.sgd ? "Sgd" : "AdamW");
}

TrainingCase make(const Variant& variant, int stage, int ranks) {
  TrainingCase test;
  test.config.dropout = 0.1;
  if (variant.llama) test.llama = tiny_llama(true);
  test.precision = {variant.dtype, variant.sums};
  if (variant.dtype == at::kHalf) test.loss_scaling = {.loss_scale = 0};
  test.sgd = variant.sgd;
  test.lr = test.sgd ? 0.1 : 3e-4;
  test.stage = stage;
  test.ranks = ranks;
  test.steps = 3;
  return test;
}

class Precisions : public ::testing::TestWithParam<Variant> {};

std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const bool llama : {false, true}) {
    for (const bool sgd : {false, true}) {
      all.push_back({llama, at::kBFloat16, at::kBFloat16, sgd});
      all.push_back({llama, at::kBFloat16, at::kFloat, sgd});
      all.push_back({llama, at::kHalf, at::kFloat, sgd});
      all.push_back({llama, at::kFloat, at::kBFloat16, sgd});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, Precisions, ::testing::ValuesIn(variants()), name_of_variant);

TEST_P(Precisions, StagesMicroBatchesAndRecomputeGiveTheSameBits) {
  for (int ranks = 1; ranks <= 4; ++ranks) {
    for (const int micro_batches : {1, 3}) {
      auto test = make(GetParam(), 0, ranks);
      test.global_batch_size = 12 * micro_batches;
      test.micro_batches = micro_batches;
      const auto whole = train(test);
      for (test.stage = 0; test.stage <= 3; ++test.stage) {
        for (const bool recompute : {false, true}) {
          test.recompute = recompute;
          if (test.stage == 0 && !recompute) continue;
          ASSERT_EQ(first_difference(train(test), whole), "")
              << "stage " << test.stage << ", " << ranks << " ranks, " << micro_batches << " micro-batches" << (recompute ? ", recompute" : "");
        }
      }
    }
  }
}

// One step: later ones diverge by what was rounded.
TEST_P(Precisions, OneStepIsThatOfFp32ToTheRoundingOfTheDtype) {
  auto test = make(GetParam(), 3, 2);
  test.steps = 1;
  test.max_norm = 0;
  const auto narrow = train(test);
  test.precision = {};
  test.loss_scaling = {};
  const auto wide = train(test);
  const double ulp = GetParam().dtype == at::kHalf ? 0x1p-11 : 0x1p-8;
  EXPECT_NEAR(narrow.losses[0], wide.losses[0], 2 * ulp);
  EXPECT_NEAR(narrow.norms[0], wide.norms[0], 4 * ulp * wide.norms[0]);
  for (const auto& [name, gradient] : narrow.gradients[0]) {
    const double off = relative_l2(with_gradient(name, gradient), with_gradient(name, wide.gradients[0].at(name)));
    EXPECT_LT(off, 8 * ulp) << name;
    if (!GetParam().sgd) continue;
    EXPECT_LT(relative_l2(narrow.weights.at(name), wide.weights.at(name)), 8 * ulp) << name;
  }
}

TEST_P(Precisions, AFreshModelIsThatOfFp32) {
  auto test = make(GetParam(), 0, 1);
  test.steps = 0;
  const auto narrow = train(test);
  test.precision = {};
  EXPECT_EQ(narrow.weights, train(test).weights);  // of the masters
}

TEST_P(Precisions, SmallUpdatesAddUpInTheMasters) {
  auto test = make(GetParam(), 3, 2);
  test.lr = 1e-6;
  test.steps = 4;
  const auto trained = train(test);
  test.steps = 0;
  const auto fresh = train(test);
  int64_t moved = 0, all = 0;
  for (const auto& [name, values] : trained.weights) {
    if (!name.ends_with("c_fc.weight") && !name.ends_with("gate_proj.weight")) continue;
    for (size_t i = 0; i < values.size(); ++i) moved += values[i] != fresh.weights.at(name)[i];
    all += static_cast<int64_t>(values.size());
  }
  EXPECT_GT(moved, all * 9 / 10);
}

// A scale of 2^30 overflows fp16 in the first backward passes: it halves until it fits.
TEST(Fp16, StepsThatOverflowAreSkippedAtEveryStage) {
  TrainingResult reference;
  for (int stage = 0; stage <= 3; ++stage) {
    auto test = make({false, at::kHalf, at::kFloat, false}, stage, 2);
    test.loss_scaling = {.loss_scale = 0, .initial_scale_power = 30, .hysteresis = 1};
    test.steps = 20;
    test.check_finite = stage % 2 == 0;  // a dynamic scale skips such a step in any case
    const auto result = train(test);
    for (const double loss : result.losses) EXPECT_TRUE(std::isfinite(loss));
    EXPECT_GT(std::count(result.skipped.begin(), result.skipped.end(), true), 2);
    EXPECT_FALSE(result.skipped.back());
    if (stage == 0) {
      reference = result;
    } else {
      EXPECT_EQ(result.skipped, reference.skipped);
      EXPECT_EQ(result.weights, reference.weights) << "stage " << stage;
    }
  }
}

TEST(Fp16, AFixedScaleIsTakenOutAgain) {
  auto test = make({true, at::kHalf, at::kFloat, true}, 3, 2);
  test.steps = 1;
  test.loss_scaling = {.loss_scale = 1024};
  const auto scaled = train(test);
  test.loss_scaling = {.loss_scale = 8192};
  const auto more = train(test);
  for (const auto& [name, weight] : scaled.weights) EXPECT_LT(relative_l2(weight, more.weights.at(name)), 1e-4) << name;
  EXPECT_NEAR(scaled.norms[0], more.norms[0], 1e-3 * more.norms[0]);
}

TEST(Fp16, AnOverflowAtAFixedScaleIsAnError) {
  auto test = make({false, at::kHalf, at::kFloat, false}, 2, 2);
  test.loss_scaling = {.loss_scale = 0x1p30};
  try {
    train(test);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::non_finite);
  }
  test.check_finite = false;
  try {
    train(test);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("validation loss"), std::string::npos) << "asked to, it goes on to the end: " << error.what();
  }
}

}  // namespace
}  // namespace zerorun::testing
