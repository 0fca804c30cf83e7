// The engine on a GPU against the engine on the processor, and its memory against what was foretold. It needs a GPU.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <iostream>

#include "comm/nccl_communicator.h"
#include "comm/thread_communicator.h"
#include "core/gpu/gpu.h"
#include "tests/zero/world.h"
#include "zero/dry_run.h"

namespace zerorun::testing {
namespace {

const at::Device kGpu(at::kCUDA, 0);

constexpr bool kDeterministic = true;
constexpr int64_t kSteps = 6, kSamples = 4, kSeqLen = 37;

struct Case {
  std::string name;
  bool llama = false;
  int stage = 3;
  Precision precision = {};
  bool recompute = false;
  int micro_batches = 1;
  SleepingPlace parameters = {}, optimizer = {}, activations = {};
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

Model model_of(const Case& c) { return c.llama ? make_llama(tiny_llama(false)) : make_gpt2(tiny_gpt2(true)); }

EngineOptions options_of(const Case& c) {
  EngineOptions options{.sharding = Sharding::of_stage(c.stage, c.micro_batches, /*strict=*/true), .precision = c.precision, .recompute = c.recompute};
  options.micro_batches = c.micro_batches;
  options.offload.parameters = c.parameters;
  options.offload.optimizer = c.optimizer;
  options.offload.activations = c.activations;
  return options;
}

struct Trained {
  std::vector<double> losses;
  double validation = 0;
  MemoryUsage usage;
};

Trained train(const Case& c, Communicator& communicator, at::Device device) {
  Trained trained;
  const Model model = model_of(c);
  MemoryLedger ledger(device.is_cuda() ? Side::gpu : Side::host);
  auto options = options_of(c);
  options.device = device;
  const auto optimizer = make_adamw({});
  Engine engine(model, communicator, *optimizer, ledger, options);
  const CountedBatches batches(77, kSeqLen, kSamples * c.micro_batches);
  for (int64_t step = 0; step < kSteps; ++step) {
    const MemoryScope scope(ledger, batch_category(ledger));
    const auto parts = micro_batches(batches, step, c.micro_batches, kSamples, 0, 1);
    trained.losses.push_back(engine.train_step(parts, 1e-3).loss);
  }
  {
    const MemoryScope scope(ledger, batch_category(ledger));
    const auto batch = batches.validation(0, kSamples);
    const auto loss = engine.evaluate(batch);
    trained.validation = loss.sum / static_cast<double>(loss.tokens);
  }
  engine.flush();
  trained.usage = ledger.usage();
  return trained;
}

Trained train_on_cpu(const Case& c) {
  Trained trained;
  run_ranks(1, [&](Communicator& communicator) { trained = train(c, communicator, at::kCPU); });
  return trained;
}

Trained train_on_gpu(const Case& c) {
  const auto control = ThreadWorld(1).communicator(0);  // on this thread: cuBLAS has a workspace for each
  NcclCommunicator communicator(*control);
  return train(c, communicator, kGpu);
}

Prediction foretell(const Case& c) {
  DryRunOptions options;
  options.device = Side::gpu;
  options.gpu = {.multiprocessors = gpu::visible()[0].multiprocessors, .deterministic = kDeterministic};
  options.engine = options_of(c);
  options.workload = {.micro_batch_size = kSamples, .seq_len = kSeqLen, .steps = kSteps, .evaluations = 1, .batches_per_evaluation = 1};
  return dry_run(model_of(c), *make_adamw({}), options);
}

const SleepingPlace kHost{SleepingPlace::Device::host};
const Precision kBf16Weights{at::kBFloat16, at::kFloat};

class OnGpu : public ::testing::TestWithParam<Case> {};

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto add = [&all](const char* name, bool llama, int stage) -> Case& {
    auto& c = all.emplace_back();
    c.name = name;
    c.llama = llama;
    c.stage = stage;
    return c;
  };
  add("Gpt2Stage0", false, 0);
  add("Gpt2Stage3", false, 3);
  add("LlamaStage2", true, 2);
  add("LlamaRecompute", true, 3).recompute = true;
  add("Gpt2Bf16", false, 3).precision = kBf16Weights;
  auto& bf16 = add("LlamaBf16Recompute", true, 3);
  bf16.precision = kBf16Weights;
  bf16.recompute = true;
  add("Gpt2MicroBatches", false, 2).micro_batches = 3;
  auto& optimizer = add("Gpt2OptimizerAsleep", false, 3);
  optimizer.micro_batches = 2;
  optimizer.optimizer = kHost;
  auto& asleep = add("LlamaAllAsleep", true, 3);
  asleep.precision = kBf16Weights;
  asleep.recompute = true;
  asleep.parameters = asleep.optimizer = asleep.activations = kHost;
  auto& replicated = add("Gpt2ReplicatedAsleep", false, 0);
  replicated.micro_batches = 3;
  replicated.optimizer = kHost;
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cases, OnGpu, ::testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST_P(OnGpu, LossesAreThoseOfTheProcessor) {
  const auto& c = GetParam();
  const double tolerance = c.precision.has_master() ? 1e-2 : 1e-4;
  const auto ours = train_on_gpu(c), expected = train_on_cpu(c);
  for (size_t i = 0; i < expected.losses.size(); ++i) EXPECT_NEAR(ours.losses[i], expected.losses[i], tolerance * expected.losses[i]) << "step " << i;
  EXPECT_NEAR(ours.validation, expected.validation, tolerance * expected.validation);
}

TEST_P(OnGpu, MemoryIsWhatWasForetold) {
  const auto measured = train_on_gpu(GetParam()).usage, predicted = foretell(GetParam()).memory;
  for (int category = 0; category < kCategoryCount; ++category) EXPECT_EQ(measured.peak[category], predicted.peak[category]) << name_of(static_cast<Category>(category));
  EXPECT_EQ(measured.total_peak, predicted.total_peak);
  EXPECT_EQ(measured.arena_overhead, predicted.arena_overhead);
  EXPECT_EQ(unscoped_usage().total_now, 0);
}

// What sleeps is changed by the processor and comes back.
TEST_P(OnGpu, WhatSleepsChangesNoBit) {
  auto resident = GetParam();
  resident.parameters = resident.optimizer = resident.activations = {};
  EXPECT_EQ(train_on_gpu(GetParam()).losses, train_on_gpu(resident).losses);
}

TEST_P(OnGpu, TwoRunsGiveTheSameBits) { EXPECT_EQ(train_on_gpu(GetParam()).losses, train_on_gpu(GetParam()).losses); }

}  // namespace
}  // namespace zerorun::testing

int main(int argc, char** argv) {
  zerorun::install_counting_allocators();
  testing::InitGoogleTest(&argc, argv);
  if (const auto absence = zerorun::gpu::absence(); !absence.empty()) {
    std::cerr << "these tests need a GPU: " << absence << "\n";
    return 78;
  }
  zerorun::gpu::start({.index = 0, .deterministic = zerorun::testing::kDeterministic});
  return RUN_ALL_TESTS();
}
