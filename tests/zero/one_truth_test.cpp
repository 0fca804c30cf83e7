// Every way of running the same step gives the same bits; and they are the right ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "comm/thread_communicator.h"
#include "tests/zero/tolerances.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

struct Variant {
  bool tied;
  bool sgd;
  bool llama = false;
};

std::string name_of_variant(const ::testing::TestParamInfo<Variant>& info) {
  return std::string(info.param.llama ? "Llama" : "Gpt2") + std::string(info.param.tied ? "Tied" : "Untied") + (info.param.sgd ? "Sgd" : "AdamW");
}

class OneTruth : public ::testing::TestWithParam<Variant> {
 protected:
  TrainingCase make(int stage, int ranks) const {
    TrainingCase test;
    test.config = tiny_gpt2(GetParam().tied);
    test.config.dropout = 0.1;
    if (GetParam().llama) test.llama = tiny_llama(GetParam().tied);
    test.sgd = GetParam().sgd;
    test.lr = test.sgd ? 0.1 : 3e-4;
    test.stage = stage;
    test.ranks = ranks;
    return test;
  }
};

INSTANTIATE_TEST_SUITE_P(All, OneTruth, ::testing::Values(Variant{true, false}, Variant{true, true}, Variant{false, false}, Variant{false, true},
                                             Variant{true, false, true}, Variant{true, true, true}, Variant{false, false, true}, Variant{false, true, true}),
                         name_of_variant);

TEST_P(OneTruth, StagesGiveTheSameBitsAtEveryNumberOfRanks) {
  for (int ranks = 1; ranks <= 4; ++ranks) {
    const auto whole = train(make(0, ranks));
    for (int stage = 1; stage <= 3; ++stage) {
      EXPECT_EQ(first_difference(train(make(stage, ranks)), whole), "") << "stage " << stage << ", " << ranks << " ranks";
    }
  }
}

TEST_P(OneTruth, RanksThatShareMemoryGiveTheSameBits) {
  for (int ranks = 1; ranks <= 4; ++ranks) {
    for (const int micro_batches : {1, 3}) {
      auto test = make(0, ranks);
      test.micro_batches = micro_batches;
      const auto apart = train(test);
      test.on_one_host = true;
      for (test.stage = 0; test.stage <= 3; ++test.stage) EXPECT_EQ(first_difference(train(test), apart), "") << "stage " << test.stage << ", " << ranks << " ranks";
    }
  }
}

TEST_P(OneTruth, ThePrefetchDepthChangesNoBit) {
  const auto reference = train(make(3, 2));
  for (const int prefetch : {0, 2, 7}) {
    auto test = make(3, 2);
    test.prefetch = prefetch;
    EXPECT_EQ(first_difference(train(test), reference), "") << "prefetch " << prefetch;
  }
}

TEST_P(OneTruth, SeveralMicroBatchesGiveTheSameBitsAtEveryStage) {
  for (int ranks = 1; ranks <= 4; ++ranks) {
    auto test = make(0, ranks);
    test.global_batch_size = 36;
    test.micro_batches = 3;
    const auto whole = train(test);
    for (test.stage = 1; test.stage <= 3; ++test.stage) {
      EXPECT_EQ(first_difference(train(test), whole), "") << "stage " << test.stage << ", " << ranks << " ranks";
    }
  }
}

TEST_P(OneTruth, RecomputeChangesNoBit) {
  for (int ranks = 1; ranks <= 4; ++ranks) {
    for (const int micro_batches : {1, 3}) {
      auto test = make(0, ranks);
      test.global_batch_size = 12 * micro_batches;
      test.micro_batches = micro_batches;
      const auto kept = train(test);
      test.recompute = true;
      for (test.stage = 0; test.stage <= 3; ++test.stage) EXPECT_EQ(first_difference(train(test), kept), "") << "stage " << test.stage << ", " << ranks << " ranks";
    }
  }
}

TEST_P(OneTruth, SeveralMicroBatchesAreOneBatch) {
  auto one = make(0, 1);
  one.global_batch_size = 36;
  const auto plain = train_plainly(one);
  for (const bool strict : {false, true}) {
    for (int stage = 0; stage <= 3; ++stage) {
      auto test = make(stage, 2);
      test.global_batch_size = 36;
      test.micro_batches = 3;
      test.strict = strict;
      EXPECT_EQ(first_disagreement(train(test), plain, test.sgd), "") << "stage " << stage << (strict ? ", strict" : ", fast");
    }
  }
}

TEST_P(OneTruth, TwoThreadsGiveTheSameBitsAtEveryStage) {
  auto test = make(0, 2);
  test.threads = 2;
  const auto whole = train(test);
  for (test.stage = 1; test.stage <= 3; ++test.stage) EXPECT_EQ(first_difference(train(test), whole), "") << "stage " << test.stage;
}

TEST_P(OneTruth, OneRankAgreesWithPlainLibTorch) {
  auto test = make(0, 1);
  test.config.dropout = 0;
  EXPECT_EQ(first_disagreement(train(test), train_plainly(test), test.sgd), "");
}

// One step: AdamW turns the last bits of small gradients into other weights.
TEST_P(OneTruth, DropoutAgreesWithAMaskInPlainLibTorch) {
  auto test = make(0, 1);
  test.config.dropout = 0.3;
  test.steps = 1;
  EXPECT_EQ(first_disagreement(train(test), train_plainly(test), test.sgd), "");
}

TEST_P(OneTruth, NumbersOfRanksAgreeAtEqualGlobalBatch) {
  const auto one = train(make(0, 1));
  for (int ranks = 2; ranks <= 4; ++ranks) EXPECT_EQ(first_disagreement(train(make(3, ranks)), one, GetParam().sgd), "") << ranks << " ranks";
}

TEST_P(OneTruth, AFreshModelIsTheSameAtEveryWorldSize) {
  auto test = make(0, 1);
  test.steps = 0;
  test.global_batch_size = 24;
  const auto reference = train(test);
  for (const int ranks : {1, 2, 3, 4, 8}) {
    for (int stage = 0; stage <= 3; ++stage) {
      test.ranks = ranks;
      test.stage = stage;
      EXPECT_EQ(train(test).weights, reference.weights) << ranks << " ranks, stage " << stage;
    }
  }
}

TEST_P(OneTruth, TrainingLowersTheLossOfOneBatchSeenAgainAndAgain) {
  auto test = make(3, 2);
  test.steps = 30;
  test.max_norm = 0;
  test.lr = GetParam().sgd ? 0.03 : 1e-2;
  test.wrap_batches = [](const BatchSource& inner, int) -> std::unique_ptr<BatchSource> {
    struct Same final : BatchSource {
      explicit Same(const BatchSource& source) : inner(source) {}
      Batch train(int64_t, int64_t first, int64_t count) const override { return inner.train(0, first, count); }
      int64_t validation_windows() const override { return inner.validation_windows(); }
      Batch validation(int64_t first, int64_t count) const override { return inner.validation(first, count); }
      const BatchSource& inner;
    };
    return std::make_unique<Same>(inner);
  };
  const auto result = train(test);
  EXPECT_NEAR(result.losses.front(), std::log(77.0), 0.2);
  EXPECT_LT(result.losses.back(), result.losses.front() - 0.3);
}

}  // namespace
}  // namespace zerorun::testing
