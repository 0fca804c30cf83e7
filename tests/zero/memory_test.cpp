// Predicted against measured memory, to the byte, and both against the arithmetic of the stages.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <stdexcept>
#include <string>

#include "tests/zero/memory_case.h"

namespace zerorun::testing {
namespace {

// The same in every dtype, with and without recompute, for both families; some with several micro-batches.
void add_precisions(std::vector<Case>& cases, Case c) {
  const Precision precisions[] = {{}, {at::kBFloat16, at::kBFloat16}, {at::kBFloat16, at::kFloat}, {at::kHalf, at::kFloat}, {at::kFloat, at::kBFloat16}};
  for (const bool llama : {false, true}) {
    for (const bool recompute : {false, true}) {
      for (const auto& precision : precisions) {
        if (!recompute && !precision.has_master() && !precision.converts_gradients()) continue;  // already there
        c.llama = llama;
        c.recompute = recompute;
        c.precision = precision;
        c.micro_batches = llama == recompute ? 5 : 1;
        c.strict = llama;
        cases.push_back(c);
      }
    }
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (int shape = 0; shape < kShapeCount; ++shape) {
    for (const int ranks : {1, 2, 4}) {
      for (int stage = 0; stage <= 3; ++stage) {
        for (const int threads : {1, 2}) {
          for (const bool tied : {true, false}) cases.push_back({shape, stage, ranks, threads, tied});
        }
        for (const int threads : {1, 2}) cases.push_back({shape, stage, ranks, threads, threads == 1, 1, false, /*llama=*/true});
        for (const bool strict : {true, false}) cases.push_back({shape, stage, ranks, 1, shape % 2 == 0, 6, strict});  // more than a dry run computes
        add_precisions(cases, {shape, stage, ranks, 1 + shape % 2, ranks == 2});
      }
    }
  }
  for (const auto& precision : {Precision{}, {at::kBFloat16, at::kBFloat16}, {at::kHalf, at::kFloat}}) {
    for (const bool recompute : {false, true}) cases.push_back({kWideHead, 3, 2, 2, true, 1, false, /*llama=*/true, precision, recompute});
  }
  for (const int ranks : {1, 2, 4}) {
    for (int stage = 0; stage <= 3; ++stage) {
      for (const bool llama : {false, true}) cases.push_back({0, stage, ranks, 1, !llama, 1 + 2 * llama, false, llama, {at::kBFloat16, at::kFloat}, llama, /*on_one_host=*/true});
      cases.push_back({1, stage, ranks, 2, false, 1, false, false, {}, false, /*on_one_host=*/true});
    }
  }
  return cases;
}

class Memory : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Lattice, Memory, ::testing::ValuesIn(all_cases()), name_of_case);

TEST_P(Memory, PredictedIsMeasuredInEveryCategory) { expect_exact_prediction(GetParam()); }

TEST_P(Memory, StatesAreWhatTheStageSays) {
  const auto& c = GetParam();
  const Model model = model_of(c);
  const auto predicted = dry_run(model, *make_adamw({}), options_of(c));
  const double padded = static_cast<double>(model.parameter_count() + predicted.padding);
  const double n = c.ranks, ep = static_cast<double>(c.precision.parameter_bytes()), er = static_cast<double>(c.precision.gradient_bytes());
  const double k = c.precision.has_master() ? 12 : 8;
  const double kept = c.micro_batches > 1 && c.strict ? er / n : er;  // stage 1 keeps slices of gradients in strict mode
  const double resident = c.on_one_host ? ep / n : ep;  // one copy for all
  const double per_parameter[] = {ep + er + k, resident + kept + k / n, resident + (er + k) / n, (ep + er + k) / n};
  const auto& memory = predicted.memory;
  const auto states = memory.peak_of(Category::parameters) + memory.peak_of(Category::gradients) + memory.peak_of(Category::optimizer);
  EXPECT_EQ(std::llround(per_parameter[c.stage] * padded), states);
  const auto& groups = model.groups();
  size_t parameters = 0;
  for (const auto& group : groups) parameters += group.parameters.size();
  EXPECT_LT(predicted.padding, static_cast<int64_t>(64 * parameters + 64 * c.ranks * groups.size()));
}

TEST(MemoryTruth, ALeakOfOneMebibyteIsSeen) {
  const Case c{0, 3, 2, 1, true};
  const Model model = model_of(c);
  const auto optimizer = make_adamw({});
  constexpr int64_t kMebibyte = 1 << 20;
  const auto sound = measure(c, model, *optimizer, 0).memory, leaking = measure(c, model, *optimizer, 0, kMebibyte).memory;
  // One leak of the first step is there at the peak of the second; both are there in the evaluation, which takes less.
  EXPECT_GE(leaking.peak_of(Category::activations), sound.peak_of(Category::activations) + kMebibyte);
  EXPECT_LT(dry_run(model, *optimizer, options_of(c)).memory.total_peak, leaking.total_peak);
}

// In kB, from the kernel.
int64_t process_status(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return std::stoll(line.substr(field.size() + 1));
  }
  throw std::runtime_error("no " + field + " in /proc/self/status");
}

// Of a step's micro-batches a dry run computes three; the tokens of all wait in host memory.
TEST(MemoryTruth, BesideAGpuEveryMicroBatchHasItsPlace) {
  const auto host = [](int micro_batches) {
    const Model model = make_gpt2({.vocab_size = 100, .hidden_size = 32, .num_hidden_layers = 2, .num_attention_heads = 2, .max_position_embeddings = 64});
    DryRunOptions options;
    options.device = Side::gpu;
    options.engine.sharding = Sharding::of_stage(0, micro_batches);
    options.engine.micro_batches = micro_batches;
    options.workload = {4, 64, 1, 0, 0};
    return dry_run(model, *make_adamw({}), options).memory.peak_of(Category::host);
  };
  const int64_t one = host(3) - host(2);
  EXPECT_GE(one, 2 * 4 * 64 * 8) << "tokens and targets";
  EXPECT_EQ(host(8), host(3) + 5 * one);
}

TEST(MemoryTruth, APredictionTakesNoMemoryOfTheModelsSize) {
  const Model model = make_gpt2({.hidden_size = 12288, .num_hidden_layers = 96, .num_attention_heads = 96, .max_position_embeddings = 2048});
  DryRunOptions options;
  options.ranks = 512;
  options.engine.sharding = Sharding::of_stage(3);
  options.workload = {1, 2048, 1, 0, 0};
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak restarts
  const int64_t before = process_status("VmRSS");
  const auto predicted = dry_run(model, *make_adamw({}), options);
  EXPECT_GT(model.parameter_count(), 170'000'000'000);
  EXPECT_GT(predicted.memory.total_peak, int64_t{16} * model.parameter_count() / 512);
  EXPECT_LT(process_status("VmHWM") - before, 64 << 10) << "kB";
}

}  // namespace
}  // namespace zerorun::testing
