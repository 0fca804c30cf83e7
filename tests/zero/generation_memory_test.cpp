// What generation takes and sends is what its dry run says.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/counting_communicator.h"
#include "comm/thread_communicator.h"
#include "core/models/gpt2.h"
#include "core/models/llama.h"
#include "core/threads.h"
#include "zero/dry_run.h"
#include "zero/generation.h"

namespace zerorun::testing {
namespace {

constexpr int64_t kSamples = 2, kPrompt = 40, kGenerations = 3;

std::vector<Model> models() {
  std::vector<Model> models;
  models.push_back(make_gpt2({.vocab_size = 300, .hidden_size = 48, .num_hidden_layers = 3, .num_attention_heads = 3, .max_position_embeddings = 64}));
  models.push_back(make_llama({.vocab_size = 300, .hidden_size = 64, .num_hidden_layers = 2, .num_attention_heads = 4, .num_key_value_heads = 2, .intermediate_size = 96,
                               .max_position_embeddings = 64}));
  return models;
}

DryRunOptions options_of(int stage, int ranks, at::ScalarType dtype) {
  DryRunOptions options;
  options.ranks = ranks;
  options.threads = compute_threads();
  options.engine.sharding = Sharding::of_stage(stage);
  options.engine.precision.parameters = dtype;
  options.engine.inference = true;
  options.workload = {.micro_batch_size = kSamples, .seq_len = kPrompt, .steps = 0, .generations = kGenerations, .new_tokens = 6};
  return options;
}

void expect_exact_prediction(const Model& model, const DryRunOptions& options) {
  const auto optimizer = make_sgd({});
  const auto predicted = dry_run(model, *optimizer, options);
  run_ranks(options.ranks, [&](Communicator& ranks) {
    CountingCommunicator communicator(ranks);
    MemoryLedger ledger;
    Engine engine(model, communicator, *optimizer, ledger, options.engine);
    const auto before = communicator.traffic() * -1;
    for (int64_t g = 0; g < kGenerations; ++g) {
      const MemoryScope scope(ledger, Category::activations);
      const auto prompt = at::ones({kSamples, kPrompt}, at::kLong);
      generate(model, engine, communicator, ledger, prompt, {.max_tokens = options.workload.new_tokens}, [](std::span<const int64_t>) {});
    }
    const auto usage = ledger.usage();
    for (int c = 0; c < kCategoryCount; ++c) EXPECT_EQ(predicted.memory.peak[c], usage.peak[c]) << name_of(static_cast<Category>(c));
    EXPECT_EQ(predicted.memory.total_peak, usage.total_peak);
    EXPECT_EQ(predicted.memory.arena_overhead, usage.arena_overhead);
    const auto sent = communicator.traffic() + before;
    EXPECT_EQ(predicted.traffic.all_gather.bytes_sent, sent.all_gather.bytes_sent);
    EXPECT_EQ(predicted.traffic.control.bytes_sent, sent.control.bytes_sent);
    EXPECT_EQ(sent.all_gather.bytes_sent > 0, options.engine.sharding.parameters && options.ranks > 1);
    EXPECT_EQ(sent.control.bytes_sent > 0, options.ranks > 1);
  });
}

TEST(GenerationMemory, AndBytesSentAreThoseOfItsDryRun) {
  for (const auto& model : models()) {
    for (const auto& [stage, ranks] : {std::pair(0, 1), std::pair(3, 1), std::pair(1, 3), std::pair(3, 2)}) {
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        SCOPED_TRACE(fmt::format("{} parameters, stage {}, {} ranks, {}", model.parameter_count(), stage, ranks, c10::toString(dtype)));
        expect_exact_prediction(model, options_of(stage, ranks, dtype));
      }
    }
  }
}

// There only what the units compute and the cache are on the device.
TEST(GenerationMemory, OnAGpuHasTextsAndLogitsBesideIt) {
  constexpr int64_t kMore = 10;
  for (const auto& model : models()) {
    auto options = options_of(3, 2, at::kBFloat16);
    options.device = Side::gpu;
    const auto host = [&] { return dry_run(model, *make_sgd({}), options).memory.peak_of(Category::host); };
    const int64_t before = host(), logits = kSamples * 300 * 4;
    EXPECT_GE(before, logits);
    options.workload.new_tokens += kMore;
    EXPECT_EQ(host() - before, kSamples * kMore * 8);
  }
}

}  // namespace
}  // namespace zerorun::testing
