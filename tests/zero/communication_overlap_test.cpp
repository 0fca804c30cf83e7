// What a step whose collectives run on a stream beside the computation takes, on a clock that is computed, and in which order it asks for them: a unit's weights are
// gathered while the one before it computes, and its gradient is summed while the one after it does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "comm/forwarding_communicator.h"
#include "comm/thread_communicator.h"
#include "tests/zero/observed_unit.h"
#include "tests/zero/virtual_clock.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

using ::testing::ElementsAre;

using Log = std::vector<std::string>;

// As between GPUs: a collective comes after what was asked for before, bytes move at some moment until its end, and a Work makes what computes next wait.
class StreamedCommunicator final : public ForwardingCommunicator {
 public:
  StreamedCommunicator(Communicator& inner, VirtualClock& clock, Log& log) : ForwardingCommunicator(inner), stream_(clock.make_stream("network")), log_(log) {}

  Work all_gather(Span slice, Span full) override {
    return run("gather", gathers_++, [this, slice, full] { inner_.all_gather(slice, full).wait(); });
  }
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    return run("reduce", reduces_++, [this, full, slice, scratch, on_block] { inner_.reduce_scatter(full, slice, scratch, on_block).wait(); });
  }
  Work all_reduce(Span full, Span scratch) override {
    return run("reduce", reduces_++, [this, full, scratch] { inner_.all_reduce(full, scratch).wait(); });
  }

 private:
  Work run(const char* kind, int number, std::function<void()> collective) {
    log_.push_back(fmt::format("{} {}", kind, number));
    const Event done = stream_->submit(Task{std::move(collective), 0, kind});
    return Work([this, done, kind, number] {
      log_.push_back(fmt::format("wait for {} {}", kind, number));
      done.wait();
    });
  }

  std::unique_ptr<Stream> stream_;
  Log& log_;
  int gathers_ = 0, reduces_ = 0;
};

struct Seconds {
  double forward, backward, gather, reduce;
};

struct Trained {
  double seconds = 0;          // of the last step
  std::vector<double> losses;
  Log log;                     // of the last step
};

constexpr int kLayers = 6;

Trained train(const Seconds& seconds, int stage, int prefetch, uint64_t seed, int layers = kLayers) {
  Trained trained;
  VirtualClock clock([&](const std::string&, const Task& task) { return task.label == "gather" ? seconds.gather : seconds.reduce; }, seed);
  const Model plain = make_gpt2({.vocab_size = 30, .hidden_size = 8, .num_hidden_layers = layers, .num_attention_heads = 2, .max_position_embeddings = 4,
                                 .tie_word_embeddings = false});
  const Model model = observed(plain, [&](const std::string& unit, bool backward) {
    trained.log.push_back((backward ? "backward of " : "forward of ") + unit);
    clock.compute(backward ? seconds.backward : seconds.forward);
  });
  run_ranks(1, [&](Communicator& inner) {
    StreamedCommunicator communicator(inner, clock, trained.log);
    MemoryLedger ledger;
    const auto optimizer = make_adamw({});
    EngineOptions options{.sharding = Sharding::of_stage(stage)};
    options.prefetch = prefetch;
    Engine engine(model, communicator, *optimizer, ledger, options);
    const CountedBatches batches(30, 4, 2);
    for (int64_t step = 0; step < 4; ++step) {
      trained.log.clear();
      const double before = clock.now();
      const Batch batch = batches.train(step, 0, 2);
      trained.losses.push_back(engine.train_step({&batch, 1}, 1e-2).loss);
      trained.seconds = clock.now() - before;
    }
  });
  return trained;
}

TEST(CommunicationOverlap, GatherComputeAndReduceComeInTheOrderThatLetsThemOverlap) {
  auto log = train({1, 1, 1, 1}, /*stage=*/3, /*prefetch=*/1, /*seed=*/1, /*layers=*/2).log;
  const int first = 4 + 2;  // gathers of the forward pass, and of the blocks in backward, in each of the three steps before
  const auto gather = [&](int n) { return fmt::format("gather {}", 3 * first + n); };
  const auto reduce = [](int n) { return fmt::format("reduce {}", 3 * 4 + n); };
  const auto wait = [](const std::string& what) { return "wait for " + what; };
  EXPECT_THAT(log, ElementsAre(gather(0), gather(1), wait(gather(0)), "forward of embedding",                                    //
                               gather(2), wait(gather(1)), "forward of blocks.0",                                               //
                               gather(3), wait(gather(2)), "forward of blocks.1",                                               //
                               gather(4), wait(gather(3)), "forward of head",                                                   // backward of it needs none
                               "backward of head", reduce(0),                                                                   //
                               gather(5), wait(gather(4)), "backward of blocks.1", wait(reduce(0)), reduce(1),                  //
                               wait(gather(5)), "backward of blocks.0", wait(reduce(1)), reduce(2),                             //
                               "backward of embedding", wait(reduce(2)), reduce(3), wait(reduce(3))));
}

class CommunicationOverlapOf : public ::testing::TestWithParam<Seconds> {};

INSTANTIATE_TEST_SUITE_P(Ratios, CommunicationOverlapOf, ::testing::Values(Seconds{1, 2, 1, 1}, Seconds{3, 6, 1, 1}, Seconds{1, 2, 4, 1}, Seconds{1, 2, 1, 5}, Seconds{0.1, 0.1, 1, 1}));

// But for the first gather and the last sum, which have nothing beside them.
TEST_P(CommunicationOverlapOf, AStepTakesWhatTheSlowerOfComputationAndNetworkTakes) {
  const auto& s = GetParam();
  const double units = kLayers + 2;
  const double forward = std::max(units * s.forward, units * s.gather), backward = std::max(units * s.backward, kLayers * s.gather + units * s.reduce);
  EXPECT_LE(train(s, 3, 1, 1).seconds, forward + backward + s.gather + s.reduce + s.forward + s.backward);
}

TEST_P(CommunicationOverlapOf, WhateverTheMomentsTheBitsAreThoseOfCollectivesThatTakeNoTime) {
  for (const int stage : {0, 1, 2, 3}) {
    const auto expected = train({1, 1, 0, 0}, stage, 1, 1).losses;
    for (const int prefetch : {0, 1, 3}) {
      for (uint64_t seed = 1; seed <= 20; ++seed) EXPECT_EQ(train(GetParam(), stage, prefetch, seed).losses, expected) << "stage " << stage << ", prefetch " << prefetch;
    }
  }
}

}  // namespace
}  // namespace zerorun::testing
