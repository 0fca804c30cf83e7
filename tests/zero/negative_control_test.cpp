// Faults that the parity tests must see, injected between the engine and what it uses.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "comm/forwarding_communicator.h"
#include "comm/rank_sum.h"
#include "comm/thread_communicator.h"
#include "tests/zero/tolerances.h"
#include "tests/zero/world.h"
#include "zero/schedule.h"

namespace zerorun::testing {
namespace {

// Divides once more by N, as who takes the mean of what is already one.
class MeanOfMeans final : public ForwardingCommunicator {
 public:
  using ForwardingCommunicator::ForwardingCommunicator;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    inner_.reduce_scatter(full, slice, scratch).wait();
    auto* values = static_cast<float*>(slice.data);
    for (int64_t i = 0; i < slice.count; ++i) values[i] /= static_cast<float>(size());
    for_each_block(slice, on_block);
    return {};
  }
};

// The n-th reduction of the run keeps this rank's own part.
class SkippedReduce final : public ForwardingCommunicator {
 public:
  using ForwardingCommunicator::ForwardingCommunicator;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    if (++calls_ != 2) return inner_.reduce_scatter(full, slice, scratch, on_block);
    std::vector<char> own(slice.bytes());
    std::memcpy(own.data(), full.slice(rank(), size()).data, own.size());
    inner_.reduce_scatter(full, slice, scratch).wait();
    std::memcpy(slice.data, own.data(), own.size());
    for_each_block(slice, on_block);
    return {};
  }

 private:
  int calls_ = 0;
};

// In the second step delivers what the same gather of the step before delivered.
class StaleGather final : public ForwardingCommunicator {
 public:
  StaleGather(Communicator& inner, size_t gathers_per_step) : ForwardingCommunicator(inner), gathers_per_step_(gathers_per_step) {}
  Work all_gather(Span slice, Span full) override {
    inner_.all_gather(slice, full).wait();
    const auto* data = static_cast<char*>(full.data);
    delivered_.emplace_back(data, data + full.bytes());
    if (delivered_.size() > gathers_per_step_ && delivered_.size() <= 2 * gathers_per_step_) {
      std::memcpy(full.data, delivered_[delivered_.size() - 1 - gathers_per_step_].data(), full.bytes());
    }
    return {};
  }

 private:
  size_t gathers_per_step_;
  std::vector<std::vector<char>> delivered_;
};

// The second of three micro-batches never reaches the accumulator.
class DroppedMicroBatch final : public ForwardingCommunicator {
 public:
  DroppedMicroBatch(Communicator& inner, int groups) : ForwardingCommunicator(inner), groups_(groups) {}
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    inner_.reduce_scatter(full, slice, scratch).wait();
    if (calls_++ / groups_ % 3 == 1) std::memset(slice.data, 0, slice.bytes());
    for_each_block(slice, on_block);
    return {};
  }

 private:
  int groups_;
  int calls_ = 0;
};

class SameSamplesOnEveryRank final : public BatchSource {
 public:
  explicit SameSamplesOnEveryRank(const BatchSource& inner) : inner_(inner) {}
  Batch train(int64_t step, int64_t, int64_t count) const override { return inner_.train(step, 0, count); }
  int64_t validation_windows() const override { return inner_.validation_windows(); }
  Batch validation(int64_t first, int64_t count) const override { return inner_.validation(first, count); }

 private:
  const BatchSource& inner_;
};

// Forgets the clip factor.
class Unclipped final : public Optimizer {
 public:
  explicit Unclipped(const Optimizer& inner) : inner_(inner) {}
  int state_count() const override { return inner_.state_count(); }
  void update(const FlatSlice& slice, const UpdateArguments& arguments) const override {
    auto unclipped = arguments;
    unclipped.gradient_scale = 1;
    inner_.update(slice, unclipped);
  }

 private:
  const Optimizer& inner_;
};

// Moves one element by one unit in the last place.
class OneUlpOff final : public Optimizer {
 public:
  explicit OneUlpOff(const Optimizer& inner) : inner_(inner) {}
  int state_count() const override { return inner_.state_count(); }
  void update(const FlatSlice& slice, const UpdateArguments& arguments) const override {
    inner_.update(slice, arguments);
    if (arguments.step == 5) slice.parameter[7] = std::nextafter(slice.parameter[7], 1.0f);
  }

 private:
  const Optimizer& inner_;
};

// Draws another mask when a unit is computed once more in backward.
class OtherMaskInRecompute final : public Unit {
 public:
  explicit OtherMaskInRecompute(const Unit& inner) : Unit(inner.name(), inner.parameters()), inner_(inner) {}
  Carry forward(const StepContext& context, Weights weights, Carry carry) const override {
    auto other = context;
    if (backward_needs_weights() && at::GradMode::is_enabled()) ++other.key.step;
    return inner_.forward(other, weights, std::move(carry));
  }
  bool backward_needs_weights() const override { return inner_.backward_needs_weights(); }
  bool writes_gradients_in_forward() const override { return inner_.writes_gradients_in_forward(); }

 private:
  const Unit& inner_;
};

// Two ranks at stage 3 with a fault, held against one rank without it, as the parity tests do.
class NegativeControl : public ::testing::TestWithParam<bool> {
 protected:
  NegativeControl() {
    sound_.sgd = GetParam();
    sound_.lr = sound_.sgd ? 0.1 : 1e-3;
    sound_.ranks = 2;
    sound_.stage = 3;
  }

  std::string disagreement(const TrainingCase& test) const {
    auto one_rank = sound_;
    one_rank.ranks = 1;
    one_rank.stage = 0;
    return first_disagreement(train(test), train(one_rank), test.sgd);
  }

  TrainingCase sound_;
};

INSTANTIATE_TEST_SUITE_P(Optimizers, NegativeControl, ::testing::Bool(), [](const auto& info) { return info.param ? "Sgd" : "AdamW"; });

TEST_P(NegativeControl, WithoutAFaultNothingIsSeen) { EXPECT_EQ(disagreement(sound_), ""); }

TEST_P(NegativeControl, AGradientWrongByTheNumberOfRanksIsSeen) {
  auto test = sound_;
  test.wrap_communicator = [](Communicator& inner) { return std::make_unique<MeanOfMeans>(inner); };
  EXPECT_NE(disagreement(test), "");
}

TEST_P(NegativeControl, ASkippedReduceIsSeen) {
  auto test = sound_;
  test.wrap_communicator = [](Communicator& inner) { return std::make_unique<SkippedReduce>(inner); };
  EXPECT_NE(disagreement(test), "");
}

TEST_P(NegativeControl, AStaleGatherIsSeen) {
  auto test = sound_;
  const Model model = make_gpt2(test.config);
  const size_t gathers = Schedule::training(model, Sharding::of_stage(3), 1).gathered.size();
  // Reading the gradients after each step gathers every group once more.
  test.wrap_communicator = [=, groups = model.groups().size()](Communicator& inner) {
    return std::make_unique<StaleGather>(inner, gathers + groups);
  };
  EXPECT_THAT(disagreement(test), ::testing::StartsWith("loss of step 1")) << "the first step that can be stale";
}

TEST_P(NegativeControl, ADroppedMicroBatchIsSeen) {
  sound_.global_batch_size = 36;
  auto test = sound_;
  test.micro_batches = 3;
  EXPECT_EQ(disagreement(test), "");
  const int groups = static_cast<int>(make_gpt2(test.config).groups().size());
  test.wrap_communicator = [=](Communicator& inner) { return std::make_unique<DroppedMicroBatch>(inner, groups); };
  EXPECT_NE(disagreement(test), "");
}

TEST_P(NegativeControl, SamplesThatAreNotDealtToTheRanksAreSeen) {
  auto test = sound_;
  test.wrap_batches = [](const BatchSource& inner, int) { return std::make_unique<SameSamplesOnEveryRank>(inner); };
  EXPECT_NE(disagreement(test), "");
}

TEST(NegativeControlOfTheUpdate, AForgottenClipFactorIsSeenWithSgd) {
  TrainingCase sound;
  sound.sgd = true;
  sound.lr = 0.1;
  auto test = sound;
  test.wrap_optimizer = [](const Optimizer& inner) { return std::make_unique<Unclipped>(inner); };
  EXPECT_NE(first_disagreement(train(test), train(sound), true), "");
}

TEST(NegativeControlOfTheBits, ADropoutMaskThatDiffersUnderRecomputeIsSeen) {
  TrainingCase kept;
  kept.config.dropout = 0.1;
  auto recomputed = kept;
  recomputed.recompute = true;
  const auto reference = train(kept);
  EXPECT_EQ(first_difference(train(recomputed), reference), "");
  recomputed.wrap_unit = [](const Unit& unit) { return std::make_shared<OtherMaskInRecompute>(unit); };
  EXPECT_THAT(first_difference(train(recomputed), reference), ::testing::StartsWith("norm of step 0")) << "the loss is that of the first forward";
}

TEST(NegativeControlOfTheBits, OneUnitInTheLastPlaceIsSeen) {
  const TrainingCase sound;
  auto test = sound;
  test.wrap_optimizer = [](const Optimizer& inner) { return std::make_unique<OneUlpOff>(inner); };
  EXPECT_EQ(first_disagreement(train(test), train(sound), false), "") << "far below every tolerance";
  EXPECT_NE(first_difference(train(test), train(sound)), "");
}

}  // namespace
}  // namespace zerorun::testing
