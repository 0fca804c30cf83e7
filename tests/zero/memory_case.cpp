#include "tests/zero/memory_case.h"

#include <ATen/ATen.h>

#include <iterator>

#include "comm/thread_communicator.h"
#include "core/threads.h"
#include "tests/comm/host_ranks.h"
#include "zero/evaluation.h"

namespace zerorun::testing {
namespace {

struct Shape {
  const char* name;
  Gpt2Config config;
  int64_t micro_batch_size, seq_len;
};

const Shape kShapes[] = {
    {"Odd", {77, 48, 3, 3, 130, 40, true, 1e-5}, 3, 37},
    {"Long", {131, 64, 2, 2, 0, 300, true, 1e-5}, 1, 257},
    {"WideVocabulary", {20011, 32, 2, 4, 96, 64, true, 1e-5}, 5, 33},
    {"OneLayerOneHead", {256, 40, 1, 1, 0, 16, true, 1e-5}, 7, 16},
};
const Shape& shape_of(int index) {
  static const Shape wide_head{"WideHead", {77, 48, 2, 3, 130, 80, true, 1e-5}, 2, 70};
  return index == kWideHead ? wide_head : kShapes[index];
}

static_assert(std::size(kShapes) == kShapeCount);

std::string name_of_offload(const OffloadOptions& offload) {
  const auto name = [](const char* what, const SleepingPlace& place) {
    if (!place.sleeps()) return std::string();
    return fmt::format("{}On{}{}", what, place.device == SleepingPlace::Device::disk ? "Disk" : "Host", place.overlaps ? "" : "Blocked");
  };
  return name("Parameters", offload.parameters) + name("Optimizer", offload.optimizer) + (offload.ratio < 1 ? "Half" : "") +
         name("Activations", offload.activations);
}

Gpt2Config config_of(const Case& c) {
  auto config = shape_of(c.shape).config;
  config.tie_word_embeddings = c.tied;
  if (c.recompute || c.precision.has_master()) config.dropout = 0.1;
  return config;
}

}  // namespace

std::string name_of_case(const ::testing::TestParamInfo<Case>& info) {
  const auto& c = info.param;
  return fmt::format("{}{}Stage{}Ranks{}Threads{}{}", c.llama ? "Llama" : "", shape_of(c.shape).name, c.stage, c.ranks, c.threads, c.tied ? "Tied" : "Untied") +
         (c.micro_batches > 1 ? fmt::format("MicroBatches{}{}", c.micro_batches, c.strict ? "Strict" : "Fast") : "") +
         (c.precision.has_master() || c.precision.converts_gradients()
              ? fmt::format("{}Sums{}", c10::toString(c.precision.parameters), c10::toString(c.precision.gradients))
              : "") +
         (c.recompute ? "Recompute" : "") + (c.on_one_host ? "OnOneHost" : "") + (c.updated_early ? "UpdatedEarly" : "") + name_of_offload(c.offload);
}

// The shape's sizes in a LLaMA with grouped heads, where they allow it.
Model model_of(const Case& c) {
  const auto config = config_of(c);
  if (!c.llama) return make_gpt2(config);
  return make_llama({.vocab_size = config.vocab_size,
                     .hidden_size = config.hidden_size,
                     .num_hidden_layers = config.num_hidden_layers,
                     .num_attention_heads = config.num_attention_heads,
                     .num_key_value_heads = config.num_attention_heads % 2 == 0 ? config.num_attention_heads / 2 : 1,
                     .head_dim = c.shape == kWideHead ? 300 : 0,
                     .intermediate_size = config.inner_size(),
                     .max_position_embeddings = config.max_position_embeddings,
                     .tie_word_embeddings = config.tie_word_embeddings});
}

DryRunOptions options_of(const Case& c) {
  const auto& shape = shape_of(c.shape);
  DryRunOptions options;
  options.ranks = c.ranks;
  options.threads = c.threads;
  options.readers = c.on_one_host ? Readers::all : Readers::owner;
  options.engine.sharding = Sharding::of_stage(c.stage, c.micro_batches, c.strict);
  options.engine.micro_batches = c.micro_batches;
  options.engine.precision = c.precision;
  options.engine.recompute = c.recompute;
  options.engine.offload = c.offload;
  if (c.updated_early) options.engine.max_norm = 0, options.engine.check_finite = false;
  options.workload = {shape.micro_batch_size, shape.seq_len, /*steps=*/2, /*evaluations=*/1, /*batches_per_evaluation=*/1};
  return options;
}

MeasuredRun measure(const Case& c, const Model& model, const Optimizer& optimizer, int rank, int64_t leaked_bytes) {
  const auto options = options_of(c);
  const auto& workload = options.workload;
  MeasuredRun measured;
  const auto run = c.on_one_host ? test::run_ranks_on_host : run_ranks;
  run(c.ranks, [&](Communicator& ranks) {
    set_compute_threads(c.threads);
    CountingCommunicator inner(ranks);
    MemoryLedger ledger;
    auto engine_options = options.engine;
    engine_options.sent = [&] { return inner.traffic().bytes_moved(options.readers); };
    Engine engine(model, inner, optimizer, ledger, engine_options);
    const CountedBatches batches(config_of(c).vocab_size, workload.seq_len, workload.micro_batch_size * c.ranks);
    std::vector<at::Tensor> leak;
    for (int64_t step = 0; step < workload.steps; ++step) {
      const MemoryScope scope(ledger, Category::activations);
      engine.train_step(micro_batches(batches, step, c.micro_batches, workload.micro_batch_size, inner.rank(), c.ranks), 1e-3);
      if (leaked_bytes) leak.push_back(at::empty({leaked_bytes}, at::kByte));
    }
    const StepWork step = engine.last_step();
    evaluate_split(engine, inner, batches, workload.micro_batch_size, 0, ledger);
    if (inner.rank() == rank) measured = {ledger.usage(), step, inner.traffic()};
  });
  return measured;
}

void expect_exact_prediction(const Case& c) {
  const Model model = model_of(c);
  const auto optimizer = make_adamw({});
  auto options = options_of(c);
  options.rank = c.ranks - 1;
  const auto predicted = dry_run(model, *optimizer, options);
  const auto [measured, step, traffic] = measure(c, model, *optimizer, options.rank);
  EXPECT_EQ(predicted.step, step);
  for (const auto line : {&Traffic::all_gather, &Traffic::reduce_scatter, &Traffic::all_reduce, &Traffic::control}) {
    EXPECT_EQ((predicted.traffic.*line).bytes_sent, (traffic.*line).bytes_sent);
    if (line == &Traffic::control) continue;  // in its calls the start of an engine is too
    EXPECT_EQ((predicted.traffic.*line).calls, (traffic.*line).calls);
  }
  for (int category = 0; category < kCategoryCount; ++category) {
    EXPECT_EQ(predicted.memory.peak[category], measured.peak[category]) << name_of(static_cast<Category>(category));
  }
  EXPECT_EQ(predicted.memory.total_peak, measured.total_peak);
  EXPECT_EQ(predicted.memory.arena_overhead, measured.arena_overhead);
  EXPECT_EQ(unscoped_usage().total_peak, 0);
}

}  // namespace zerorun::testing
