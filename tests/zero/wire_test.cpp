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

// Padded elements of what is gathered together, by hand from the shapes.
struct Padded {
  int64_t once = 0;   // embedding and head: backward needs no weights
  int64_t twice = 0;  // blocks
};

struct WireCase {
  int stage, ranks;
  bool tied;
  int micro_batches;
  bool strict;
  bool llama = false;
  Precision precision = {};
  bool recompute = false;
};

Padded padded_elements(const WireCase& test) {
  const auto group = [&](std::initializer_list<int64_t> sizes) {
    int64_t sum = 0;
    for (const int64_t size : sizes) sum += round_up(size, 64);
    return round_up(sum, 64 * test.ranks);
  };
  Padded padded;
  if (test.llama) {
    const auto config = tiny_llama(test.tied);
    const int64_t c = config.hidden_size, f = config.intermediate_size, v = config.vocab_size, d = config.head_dim;
    const int64_t q = config.num_attention_heads * d, kv = config.num_key_value_heads * d;
    padded.once = test.tied ? group({v * c}) + group({c}) : group({v * c}) + group({c, v * c});
    padded.twice = config.num_hidden_layers * group({c, c, q * c, kv * c, kv * c, c * q, f * c, f * c, c * f});
    return padded;
  }
  const auto config = tiny_gpt2(test.tied);
  const int64_t c = config.hidden_size, f = config.inner_size(), v = config.vocab_size, p = config.max_position_embeddings;
  padded.once = test.tied ? group({v * c}) + group({p * c}) + group({c, c}) : group({v * c, p * c}) + group({c, c, v * c});
  padded.twice = config.num_hidden_layers * group({c, c, 3 * c * c, 3 * c, c * c, c, c, c, c * f, f, f * c, c});
  return padded;
}

struct Expected {
  int64_t all_gather, reduce_scatter, all_reduce;
};

Expected expected_bytes(const WireCase& test, int64_t steps, int64_t evaluations) {
  const auto padded = padded_elements(test);
  const int64_t whole = padded.once + padded.twice, m = test.micro_batches;
  const auto sent = [&](int64_t elements, int64_t bytes) { return elements * bytes / test.ranks * (test.ranks - 1); };
  const int64_t ep = test.precision.parameter_bytes(), er = test.precision.gradient_bytes();
  const bool sums_each = m > 1 && (test.strict || test.stage >= 2);
  const int64_t reduced = steps * (sums_each ? m : 1) * sent(whole, er);
  switch (test.stage) {
    case 0: return sums_each ? Expected{steps * sent(whole, er), reduced, 0} : Expected{0, 0, 2 * reduced};
    case 3: return {steps * m * sent(whole + padded.twice, ep) + evaluations * sent(whole, ep), reduced, 0};
    default: return {steps * sent(whole, ep), reduced, 0};
  }
}

class Wire : public ::testing::TestWithParam<WireCase> {};

const Precision kFp32, kBf16{at::kBFloat16, at::kBFloat16}, kBf16Sums32{at::kBFloat16, at::kFloat}, kSums16{at::kFloat, at::kBFloat16},
    kFp16{at::kHalf, at::kFloat};

std::vector<WireCase> wire_cases() {
  std::vector<WireCase> cases;
  for (int stage = 0; stage <= 3; ++stage) {
    for (const int ranks : {1, 2, 3, 4}) {
      for (const int m : {1, 3}) {
        for (const bool strict : {true, false}) {
          for (const bool tied : {true, false}) {
            cases.push_back({stage, ranks, tied, m, strict});
            cases.push_back({stage, ranks, tied, m, strict, /*llama=*/true});
          }
          if (ranks % 2 != 0) continue;
          for (const auto& precision : {kBf16, kBf16Sums32, kSums16, kFp16}) {
            for (const bool llama : {true, false}) cases.push_back({stage, ranks, llama, m, strict, llama, precision, /*recompute=*/strict});
          }
        }
      }
    }
  }
  return cases;
}

std::string name_of_case(const ::testing::TestParamInfo<WireCase>& info) {
  const auto& c = info.param;
  return fmt::format("{}Stage{}Ranks{}{}MicroBatches{}{}{}Sums{}{}", c.llama ? "Llama" : "Gpt2", c.stage, c.ranks, c.tied ? "Tied" : "Untied", c.micro_batches,
                     c.strict ? "Strict" : "Fast", c10::toString(c.precision.parameters), c10::toString(c.precision.gradients),
                     c.recompute ? "Recompute" : "");
}

INSTANTIATE_TEST_SUITE_P(Lattice, Wire, ::testing::ValuesIn(wire_cases()), name_of_case);

TEST_P(Wire, BytesSentAreTheArithmeticOfTheShapes) {
  const auto& test = GetParam();
  const int ranks = test.ranks, m = test.micro_batches;
  TrainingCase training;
  training.config = tiny_gpt2(test.tied);
  if (test.llama) training.llama = tiny_llama(test.tied);
  const Model model = model_of(training);
  const auto optimizer = make_adamw({});
  constexpr int64_t kSteps = 3, kEvaluations = 2, kBatches = 3, kSamples = 2, kSeqLen = 9;
  const auto expected = expected_bytes(test, kSteps, kEvaluations * kBatches);
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
  options.engine.sharding = Sharding::of_stage(test.stage, m, test.strict);
  options.engine.precision = test.precision;
  options.engine.recompute = test.recompute;
  options.engine.micro_batches = m;
  options.workload = {kSamples, kSeqLen, kSteps, kEvaluations, kBatches};
  check(dry_run(model, *optimizer, options).traffic, "predicted");

  run_ranks(ranks, [&](Communicator& inner) {
    MemoryLedger ledger;
    CountingCommunicator communicator(inner);
    Engine engine(model, communicator, *optimizer, ledger, options.engine);
    const CountedBatches batches(vocabulary_of(training), kSeqLen, kSamples * ranks * m, 2 * kSamples * ranks + 1);
    for (int64_t step = 0; step < kSteps; ++step) engine.train_step(micro_batches(batches, step, m, kSamples, inner.rank(), ranks), 1e-3);
    for (int64_t i = 0; i < kEvaluations; ++i) evaluate_split(engine, communicator, batches, kSamples, 0, ledger);
    if (inner.rank() == 0) check(communicator.traffic(), "measured");
  });
}

}  // namespace
}  // namespace zerorun::testing
