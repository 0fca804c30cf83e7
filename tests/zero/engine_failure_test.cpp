// What the engine leaves behind when a step throws in the middle.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "comm/thread_communicator.h"
#include "tests/zero/forwarding.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

// Gathers that are never done: what was started stays under way until it is waited for, or abandoned.
class EndlessGather final : public Forwarding {
 public:
  EndlessGather(Communicator& inner, const MemoryLedger& ledger) : Forwarding(inner), ledger_(ledger) {}
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

TEST(EngineFailure, CollectivesUnderWayAreAbandonedBeforeTheirMemoryGoes) {
  const TrainingCase test;
  const Model model = make_gpt2(test.config);
  const auto optimizer = optimizer_of(test);
  run_ranks(1, [&](Communicator& inner) {
    MemoryLedger ledger;
    EndlessGather communicator(inner, ledger);
    {
      Engine engine(model, communicator, *optimizer, ledger, {.sharding = Sharding::of_stage(3)});
      auto batch = CountedBatches(test.config.vocab_size, test.seq_len, 1).train(0, 0, 1);
      batch.tokens[0][0] = test.config.vocab_size;  // the embedding throws, with the next unit's gather under way
      EXPECT_ANY_THROW(engine.train_step(batch, test.lr));
      EXPECT_GT(communicator.under_way(), 0);
    }
    EXPECT_EQ(communicator.under_way(), 0);
    EXPECT_GT(communicator.gathered_when_abandoned(), 0);
  });
}

}  // namespace
}  // namespace zerorun::testing
