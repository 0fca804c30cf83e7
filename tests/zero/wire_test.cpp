// Bytes sent, against arithmetic on the shapes that knows nothing of the engine.
#include <gtest/gtest.h>

#include "comm/counting_communicator.h"
#include "comm/thread_communicator.h"
#include "core/error.h"
#include "tests/zero/world.h"
#include "zero/dry_run.h"
#include "zero/evaluation.h"

namespace zerorun::testing {
namespace {

int64_t round_up(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

// Padded elements of what is gathered together, by hand from GPT-2's shapes.
struct Padded {
  int64_t once = 0;   // embedding and head: backward needs no weights
  int64_t twice = 0;  // blocks
  int64_t groups = 0;
};

Padded padded_elements(const Gpt2Config& config, int ranks) {
  const auto group = [&](std::initializer_list<int64_t> sizes) {
    int64_t sum = 0;
    for (const int64_t size : sizes) sum += round_up(size, 64);
    return round_up(sum, 64 * ranks);
  };
  const int64_t c = config.hidden_size, f = config.inner_size(), v = config.vocab_size, p = config.max_position_embeddings;
  Padded padded;
  padded.once = config.tie_word_embeddings ? group({v * c}) + group({p * c}) + group({c, c}) : group({v * c, p * c}) + group({c, c, v * c});
  padded.twice = config.num_hidden_layers * group({c, c, 3 * c * c, 3 * c, c * c, c, c, c, c * f, f, f * c, c});
  padded.groups = config.num_hidden_layers + (config.tie_word_embeddings ? 3 : 2);
  return padded;
}

struct Expected {
  int64_t all_gather, reduce_scatter, all_reduce;
};

// With m micro-batches in a step.
Expected expected_bytes(const Gpt2Config& config, int stage, int ranks, int64_t m, bool strict, int64_t steps, int64_t evaluations) {
  const auto padded = padded_elements(config, ranks);
  const int64_t whole = padded.once + padded.twice;
  const auto sent = [&](int64_t elements) { return elements * 4 / ranks * (ranks - 1); };
  const bool sums_each = m > 1 && (strict || stage >= 2);
  const int64_t reduced = steps * (sums_each ? m : 1) * sent(whole);
  switch (stage) {
    case 0: return sums_each ? Expected{steps * sent(whole), reduced, 0} : Expected{0, 0, 2 * reduced};
    case 3: return {steps * m * sent(whole + padded.twice) + evaluations * sent(whole), reduced, 0};
    default: return {steps * sent(whole), reduced, 0};
  }
}

class Wire : public ::testing::TestWithParam<std::tuple<int, int, bool, int, bool>> {};

std::string name_of_case(const ::testing::TestParamInfo<std::tuple<int, int, bool, int, bool>>& info) {
  const auto [stage, ranks, tied, micro_batches, strict] = info.param;
  return fmt::format("Stage{}Ranks{}{}{}{}", stage, ranks, tied ? "Tied" : "Untied", micro_batches, strict ? "Strict" : "Fast");
}

INSTANTIATE_TEST_SUITE_P(Lattice, Wire, ::testing::Combine(::testing::Range(0, 4), ::testing::Values(1, 2, 3, 4), ::testing::Bool(), ::testing::Values(1, 3), ::testing::Bool()),
                         name_of_case);

TEST_P(Wire, BytesSentAreTheArithmeticOfTheShapes) {
  const auto [stage, ranks, tied, m, strict] = GetParam();
  const auto config = tiny_gpt2(tied);
  const Model model = make_gpt2(config);
  const auto optimizer = make_adamw({});
  constexpr int64_t kSteps = 3, kEvaluations = 2, kBatches = 3, kSamples = 2, kSeqLen = 9;
  const auto expected = expected_bytes(config, stage, ranks, m, strict, kSteps, kEvaluations * kBatches);
  const auto check = [&](const Traffic& traffic, const char* which) {
    EXPECT_EQ(traffic.all_gather.bytes_sent, expected.all_gather) << which;
    EXPECT_EQ(traffic.reduce_scatter.bytes_sent, expected.reduce_scatter) << which;
    EXPECT_EQ(traffic.all_reduce.bytes_sent, expected.all_reduce) << which;
    // Tokens; loss and norm: two exchanges a step, two an evaluation batch.
    EXPECT_EQ(traffic.control.bytes_sent, (kSteps + kEvaluations * kBatches) * (8 + 16) * (ranks - 1)) << which;
    EXPECT_EQ(traffic.control.calls, (kSteps + kEvaluations * kBatches) * 2) << which;
  };

  DryRunOptions options;
  options.ranks = ranks;
  options.engine.sharding = Sharding::of_stage(stage, m, strict);
  options.engine.micro_batches = m;
  options.workload = {kSamples, kSeqLen, kSteps, kEvaluations, kBatches};
  check(dry_run(model, *optimizer, options).traffic, "predicted");

  run_ranks(ranks, [&, ranks = ranks, m = m](Communicator& inner) {
    MemoryLedger ledger;
    CountingCommunicator communicator(inner);
    Engine engine(model, communicator, *optimizer, ledger, options.engine);
    const CountedBatches batches(config.vocab_size, kSeqLen, kSamples * ranks * m, 2 * kSamples * ranks + 1);
    for (int64_t step = 0; step < kSteps; ++step) engine.train_step(micro_batches(batches, step, m, kSamples, inner.rank(), ranks), 1e-3);
    for (int64_t i = 0; i < kEvaluations; ++i) evaluate_split(engine, communicator, batches, kSamples, 0, ledger);
    if (inner.rank() == 0) check(communicator.traffic(), "measured");
  });
}

}  // namespace
}  // namespace zerorun::testing
