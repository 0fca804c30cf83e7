// Frozen parameters: no gradient, no state, no byte of theirs in a sum; what is trained is trained as if all were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/zero/tolerances.h"
#include "tests/zero/world.h"
#include "zero/dry_run.h"

namespace zerorun::testing {
namespace {

TrainingCase frozen(std::vector<std::string> patterns, int stage, int ranks, bool llama) {
  TrainingCase test;
  if (llama) test.llama = tiny_llama(false);
  test.config = tiny_gpt2(false);
  test.frozen = std::move(patterns);
  test.stage = stage;
  test.ranks = ranks;
  test.max_norm = 0;  // the norm is of what is trained
  test.steps = 3;
  return test;
}

const std::vector<std::vector<std::string>> kGpt2Patterns = {{"*bias", "*ln_?.weight"},
                                                             {"transformer.w?e.*", "transformer.h.[01].*"},
                                                             {"lm_head.weight"},
                                                             {"*.wte.*", "*.h.*", "*.wpe.*", "*.ln_f.*"},
                                                             {"transformer.h.2.*", "lm_head.weight", "transformer.ln_f.*"}};

TEST(Frozen, OnlyTheOthersMove) {
  for (const auto& patterns : kGpt2Patterns) {
    auto test = frozen(patterns, 0, 1, false);
    const auto trained = train(test);
    test.steps = 0;
    const auto fresh = train(test);
    const auto model = model_of(test);
    for (const auto& group : model.groups()) {
      for (const auto& parameter : group.parameters) {
        EXPECT_EQ(trained.weights.at(parameter.name) == fresh.weights.at(parameter.name), !group.trainable) << parameter.name;
        EXPECT_EQ(trained.gradients[0].contains(parameter.name), group.trainable) << parameter.name;
      }
    }
  }
}

TEST(Frozen, StagesAndRecomputeGiveTheSameBits) {
  for (const auto& patterns : kGpt2Patterns) {
    const auto whole = train(frozen(patterns, 0, 2, false));
    for (int stage = 0; stage <= 3; ++stage) {
      auto test = frozen(patterns, stage, 2, false);
      test.recompute = stage % 2 == 1;
      EXPECT_EQ(first_difference(train(test), whole), "") << "stage " << stage << ", frozen " << patterns[0];
    }
  }
  const auto whole = train(frozen({"*proj*", "model.embed*"}, 0, 2, true));
  for (int stage = 1; stage <= 3; ++stage) {
    EXPECT_EQ(first_difference(train(frozen({"*proj*", "model.embed*"}, stage, 2, true)), whole), "") << "stage " << stage;
  }
}

TEST(Frozen, WhatIsTrainedHasTheGradientOfTheWholeModel) {
  for (const auto& patterns : kGpt2Patterns) {
    auto test = frozen(patterns, 3, 2, false);
    test.steps = 1;
    const auto part = train(test);
    test.frozen = {};
    const auto all = train(test);
    for (const auto& [name, gradient] : part.gradients[0]) {
      EXPECT_LT(relative_l2(with_gradient(name, gradient), with_gradient(name, all.gradients[0].at(name))), 1e-6) << name;
    }
  }
}

TEST(Frozen, HasNoGradientAndNoState) {
  const auto test = frozen({"transformer.h.*"}, 1, 1, false);
  const Model model = model_of(test);
  int64_t trained = 0, all = 0;
  for (const auto& group : model.groups()) {
    const int64_t elements = GroupLayout(group, 1).padded_count();
    all += elements;
    if (group.trainable) trained += elements;
  }
  DryRunOptions options;
  options.engine.sharding = Sharding::of_stage(1);
  options.workload = {2, 9, 1, 0, 0};
  const auto memory = dry_run(model, *make_adamw({}), options).memory;
  EXPECT_EQ(memory.peak_of(Category::parameters), 4 * all);
  EXPECT_EQ(memory.peak_of(Category::gradients), 4 * trained);
  EXPECT_EQ(memory.peak_of(Category::optimizer), 8 * trained);
}

TEST(Frozen, IsSentByTheGatherOfStage3Alone) {
  constexpr int kRanks = 4;
  const Model model = model_of(frozen({"transformer.h.[02].*", "transformer.wte.*"}, 0, 1, false));
  int64_t trained = 0, all = 0, again = 0;  // again: what backward gathers, the blocks from the first that it reaches
  for (const auto& group : model.groups()) {
    const int64_t elements = GroupLayout(group, kRanks).padded_count();
    all += elements;
    if (group.trainable) trained += elements;
    if (group.name.starts_with("blocks")) again += elements;
  }
  const auto sent = [](int64_t elements) { return 4 * elements / kRanks * (kRanks - 1); };
  for (int stage = 0; stage <= 3; ++stage) {
    DryRunOptions options;
    options.ranks = kRanks;
    options.engine.sharding = Sharding::of_stage(stage);
    options.workload = {2, 9, 1, 0, 0};
    const auto traffic = dry_run(model, *make_adamw({}), options).traffic;
    EXPECT_EQ(traffic.all_reduce.bytes_sent, stage == 0 ? 2 * sent(trained) : 0) << "stage " << stage;
    EXPECT_EQ(traffic.reduce_scatter.bytes_sent, stage > 0 ? sent(trained) : 0) << "stage " << stage;
    EXPECT_EQ(traffic.all_gather.bytes_sent, stage == 0 ? 0 : stage < 3 ? sent(trained) : sent(all + again)) << "stage " << stage;
  }
}

TEST(Frozen, APatternThatMatchesNothingIsAnError) {
  for (const std::string pattern : {"transformer.h.7.*", "wte", "*"}) {
    try {
      make_gpt2(tiny_gpt2(true)).with_frozen({pattern});
      FAIL() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::configuration);
      EXPECT_THAT(error.what(), ::testing::HasSubstr(pattern == "*" ? "frozen" : pattern));
    }
  }
}

}  // namespace
}  // namespace zerorun::testing
