// What a step has to do, by the arithmetic of documents: products of matrices, and bytes that move.
#include <gtest/gtest.h>

#include "tests/zero/world.h"
#include "zero/dry_run.h"

namespace zerorun::testing {
namespace {

constexpr int64_t kLayers = 6, kHidden = 32, kVocabulary = 50, kTokens = 16, kSamples = 3;

Model untied() {
  return make_gpt2({.vocab_size = kVocabulary, .hidden_size = kHidden, .num_hidden_layers = kLayers, .num_attention_heads = 2,
                    .max_position_embeddings = kTokens, .tie_word_embeddings = false});
}

StepWork work_of(const Model& model, bool recompute, const OffloadOptions& offload = {}, int stage = 3, int ranks = 1) {
  DryRunOptions options;
  options.ranks = ranks;
  options.engine.sharding = Sharding::of_stage(stage);
  options.engine.recompute = recompute;
  options.engine.offload = offload;
  options.workload = {kSamples, kTokens, 1, 0, 0};
  return dry_run(model, *make_adamw({}), options).step;
}

OffloadOptions asleep(bool parameters, bool optimizer) {
  const SleepingPlace host{SleepingPlace::Device::host};
  OffloadOptions offload;
  if (parameters) offload.parameters = host;
  if (optimizer) offload.optimizer = host;
  return offload;
}

// 6 operations for each token and element of a matrix, 2 of them in forward; the head has all 6 there. Two products of attention forward, five backward.
TEST(StepWork, HasTheOperationsOfItsProducts) {
  constexpr int64_t kRows = kSamples * kTokens, kBlock = 12 * kHidden * kHidden, kHead = kVocabulary * kHidden;
  constexpr int64_t kProduct = kSamples * kTokens * (kTokens + 1) * kHidden;
  constexpr int64_t kForward = kLayers * (2 * kRows * kBlock + 2 * kProduct), kBackward = kLayers * (4 * kRows * kBlock + 5 * kProduct);
  const auto work = work_of(untied(), false), again = work_of(untied(), true);
  EXPECT_EQ(work.forward.operations.flops, kForward + 6 * kRows * kHead);
  EXPECT_EQ(work.backward.operations.flops, kBackward);
  EXPECT_EQ(again.forward.operations.flops, work.forward.operations.flops);
  EXPECT_EQ(again.backward.operations.flops, kForward + kBackward);
}

TEST(StepWork, MovesWhatSleepsAndUpdatesItBesideTheComputation) {
  const Model model = untied();
  const int64_t all = model.parameter_count();
  const auto padded = [&](int64_t bytes, int64_t expected) {  // each part of a group is rounded up to 4 KiB
    EXPECT_GE(bytes, expected);
    EXPECT_LT(bytes, expected + 4096 * 3 * (kLayers + 3));
  };
  const auto resident = work_of(model, false);
  EXPECT_EQ(resident.forward.moves, OffloadTraffic{});
  EXPECT_EQ(resident.backward.moves, OffloadTraffic{});
  EXPECT_GE(resident.updated, all);
  EXPECT_EQ(resident.forward.updated, 0);

  const auto both = work_of(model, false, asleep(true, true));
  padded(both.forward.moves.up, 4 * all);
  padded(both.backward.moves.down, 4 * all);
  EXPECT_GT(both.backward.moves.up, 4 * (kLayers - 2) * 12 * kHidden * kHidden) << "the blocks but for the last ones";
  EXPECT_EQ(both.updated, 0);
  EXPECT_GE(both.forward.updated, all);

  const auto optimizer = work_of(model, false, asleep(false, true));
  padded(optimizer.forward.moves.up, 4 * all);  // what was updated comes back
  EXPECT_EQ(optimizer.backward.moves.up, 0);
  padded(optimizer.backward.moves.down, 4 * all);

  const auto parameters = work_of(model, false, asleep(true, false));
  padded(parameters.forward.moves.down, 4 * all);  // taken back, updated
  EXPECT_EQ(parameters.backward.moves.down, 0);
  EXPECT_GE(parameters.updated, all);

  const auto halved = work_of(model, false, asleep(true, true), 3, 2);
  padded(2 * halved.forward.moves.up, 4 * all);
}

TEST(StepWork, UpdatesRunInBackwardWhereNothingIsLeftToWaitFor) {
  const Model model = untied();
  DryRunOptions options;
  options.engine.sharding = Sharding::of_stage(3);
  options.engine.offload = asleep(true, true);
  options.engine.max_norm = 0;
  options.workload = {kSamples, kTokens, 1, 0, 0};
  const auto checked = dry_run(model, *make_adamw({}), options).step;
  EXPECT_EQ(checked.backward.updated, 0);
  options.engine.check_finite = false;
  const auto early = dry_run(model, *make_adamw({}), options).step;
  EXPECT_EQ(early.backward.updated, checked.forward.updated);
  EXPECT_EQ(early.forward.updated, 0);
  EXPECT_EQ(early.forward.operations.flops, checked.forward.operations.flops);
}

TEST(StepWork, OnDiskAnUpdateIsOneReadAndOneWriteBesideTheFetches) {
  auto offload = asleep(true, true);
  offload.parameters.device = offload.optimizer.device = SleepingPlace::Device::disk;
  const Model model = untied();
  const auto work = work_of(model, false, offload);
  const auto host = work_of(model, false, asleep(true, true));
  const int64_t all = model.parameter_count(), slack = 4096 * 7 * (kLayers + 3);
  EXPECT_EQ(work.forward.moves.up, host.forward.moves.up);
  EXPECT_GE(work.forward.moves.disk_read, (4 + 16) * all);   // fetched; masters, two states and the gradient read
  EXPECT_LE(work.forward.moves.disk_read, (4 + 16) * all + slack);
  EXPECT_GE(work.forward.moves.disk_written, 12 * all);
  EXPECT_LE(work.forward.moves.disk_written, 12 * all + slack);
  EXPECT_EQ(work.backward.moves.disk_written, work.backward.moves.down);
}

}  // namespace
}  // namespace zerorun::testing
