// What the engine leaves behind when a step throws in the middle.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <array>
#include <cmath>

#include "comm/forwarding_communicator.h"
#include "comm/rank_sum.h"
#include "comm/thread_communicator.h"
#include "core/error.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

// Gathers that are never done: what was started stays under way until it is waited for, or abandoned.
class EndlessGather final : public ForwardingCommunicator {
 public:
  EndlessGather(Communicator& inner, const MemoryLedger& ledger) : ForwardingCommunicator(inner), ledger_(ledger) {}
  Work all_gather(Span, Span) override {
    ++under_way_;
    return Work([this] { --under_way_; });
  }
  void abandon() noexcept override {
    gathered_when_abandoned_ = ledger_.usage().now_of(Category::gathered);
    under_way_ = 0;
  }

  int under_way() const { return under_way_; }
  int64_t gathered_when_abandoned() const { return gathered_when_abandoned_; }

 private:
  const MemoryLedger& ledger_;
  int under_way_ = 0;
  int64_t gathered_when_abandoned_ = 0;
};

// One rank's slice of the n-th summed gradient gets a value that is none.
class Poisoned final : public ForwardingCommunicator {
 public:
  Poisoned(Communicator& inner, int reduction, float value) : ForwardingCommunicator(inner), reduction_(reduction), value_(value) {}
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    inner_.reduce_scatter(full, slice, scratch).wait();
    if (++calls_ == reduction_ && rank() == 1) *static_cast<float*>(slice.data) = value_;
    for_each_block(slice, on_block);
    return {};
  }

 private:
  int reduction_;
  float value_;
  int calls_ = 0;
};

TEST(EngineFailure, WhatIsNotFiniteOnOneRankStopsAllAtTheSameStepBeforeTheUpdate) {
  const TrainingCase test;
  const Model model = make_gpt2(test.config);
  const auto optimizer = optimizer_of(test);
  const int groups = static_cast<int>(model.groups().size());
  for (const float value : {NAN, INFINITY}) {
    run_ranks(3, [&](Communicator& inner) {
      MemoryLedger ledger;
      Poisoned communicator(inner, groups + 1, value);  // in the second step
      Engine engine(model, communicator, *optimizer, ledger, {.sharding = Sharding::of_stage(3)});
      const CountedBatches batches(test.config.vocab_size, test.seq_len, 3);
      const auto weights = [&] {
        std::vector<at::Tensor> copies;
        engine.for_each_parameter([&](const Parameter&, const at::Tensor& weight) { copies.push_back(weight.clone()); });
        return copies;
      };
      engine.train_step(std::array{batches.train(0, inner.rank(), 1)}, test.lr);
      const auto before = weights();
      try {
        engine.train_step(std::array{batches.train(1, inner.rank(), 1)}, test.lr);
        ADD_FAILURE() << "rank " << inner.rank() << " goes on";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::non_finite);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("step 2"));
      }
      const auto after = weights();
      for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(before[i], after[i]));
    });
  }
}

TEST(EngineFailure, CollectivesUnderWayAreAbandonedBeforeTheirMemoryGoes) {
  const TrainingCase test;
  const Model model = make_gpt2(test.config);
  const auto optimizer = optimizer_of(test);
  run_ranks(2, [&](Communicator& inner) {  // one would have nothing to gather
    MemoryLedger ledger;
    EndlessGather communicator(inner, ledger);
    {
      Engine engine(model, communicator, *optimizer, ledger, {.sharding = Sharding::of_stage(3)});
      auto batch = CountedBatches(test.config.vocab_size, test.seq_len, 1).train(0, 0, 1);
      batch.tokens[0][0] = test.config.vocab_size;  // the embedding throws, with the next unit's gather under way
      EXPECT_ANY_THROW(engine.train_step(std::array{batch}, test.lr));
      EXPECT_GT(communicator.under_way(), 0);
    }
    EXPECT_EQ(communicator.under_way(), 0);
    EXPECT_GT(communicator.gathered_when_abandoned(), 0);
  });
}

}  // namespace
}  // namespace zerorun::testing
