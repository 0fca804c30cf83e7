#include "launcher/inference_bench.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/launcher/expect_error.h"

namespace zerorun {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kGiB = int64_t{1} << 30;

InferenceBenchOptions parse(std::vector<const char*> words) {
  words.insert(words.begin(), {"zerorun", "bench", "inference"});
  return parse_inference_bench_options(static_cast<int>(words.size()), words.data());
}

TEST(InferenceBenchOptions, HaveDefaults) {
  const auto options = parse({"train.yaml"});
  EXPECT_EQ(options.config, "train.yaml");
  EXPECT_FALSE(options.prompt_tokens);
  EXPECT_EQ(options.new_tokens, 50);
  EXPECT_EQ(options.batch, 1);
  EXPECT_EQ(options.requests, 10);
  EXPECT_FALSE(options.memory);
  EXPECT_FALSE(options.json);
}

TEST(InferenceBenchOptions, AreRead) {
  const auto options = parse({"a.yaml", "--prompt-tokens", "7", "--new-tokens=3", "--batch", "2", "--requests", "4", "--memory", "1.5GiB", "--set", "run.seed=3", "--json"});
  EXPECT_EQ(options.prompt_tokens, 7);
  EXPECT_EQ(options.new_tokens, 3);
  EXPECT_EQ(options.batch, 2);
  EXPECT_EQ(options.requests, 4);
  EXPECT_EQ(options.memory, 3 * kGiB / 2);
  ASSERT_EQ(options.overrides.size(), 1u);
  EXPECT_EQ(options.overrides[0].key, "run.seed");
  EXPECT_TRUE(options.json);
}

TEST(InferenceBenchOptions, AreRefusedInOneLine) {
  const std::vector<std::pair<std::vector<const char*>, const char*>> cases = {
      {{}, "zerorun bench inference takes one configuration"},
      {{"a.yaml", "b.yaml"}, "zerorun bench inference takes one configuration"},
      {{"a.yaml", "--requests", "0"}, "--requests is 0, expected 1 to 1000000"},
      {{"a.yaml", "--batch", "0"}, "--batch is 0, expected 1 to 65536"},
      {{"a.yaml", "--prompt-tokens", "-1"}, "--prompt-tokens is -1, expected 1 to"},
      {{"a.yaml", "--new-tokens", "0"}, "--new-tokens is 0, expected 1 to"},
      {{"a.yaml", "--memory", "much"}, "--memory is 'much', expected a size from"},
      {{"a.yaml", "--memory", "0"}, "--memory is '0', expected a size from"},
      {{"a.yaml", "--request", "1"}, "--request"},
      {{"a.yaml", "--set", "run.seed"}, "expected KEY=VALUE"}};
  for (const auto& [words, expected] : cases) {
    const auto message = message_of(ErrorKind::usage, [&] { parse(words); });
    EXPECT_THAT(message, HasSubstr(expected));
    EXPECT_THAT(message, testing::EndsWith("; see zerorun --help"));
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(InferenceBenchOptions, APromptLeavesRoomForWhatComesAfterIt) {
  InferenceBenchOptions options;
  EXPECT_EQ(prompt_tokens_of(options, 2048), 512);
  EXPECT_EQ(prompt_tokens_of(options, 562), 512);
  EXPECT_EQ(prompt_tokens_of(options, 128), 78);
  EXPECT_EQ(prompt_tokens_of(options, 51), 1);
  EXPECT_THAT(message_of(ErrorKind::configuration, [&] { prompt_tokens_of(options, 50); }), HasSubstr("a prompt of 1 token and --new-tokens 50 are 51 positions, but"));
  options.prompt_tokens = 78;
  EXPECT_EQ(prompt_tokens_of(options, 128), 78);
  options.prompt_tokens = 79;
  const auto message = message_of(ErrorKind::configuration, [&] { prompt_tokens_of(options, 128); });
  EXPECT_THAT(message, HasSubstr("a prompt of 79 tokens and --new-tokens 50 are 129 positions, but max_position_embeddings of the model is 128"));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(InferenceTimes, OfARequestAreItsPartsTogether) {
  InferenceTimes times;
  times.add(2, {0.5, 0.25});
  times.add(3, {0.125, 0.125});
  EXPECT_THAT(times.prefill, ElementsAre(2, 3));
  EXPECT_THAT(times.decode, ElementsAre(0.5, 0.25, 0.125, 0.125));
  EXPECT_THAT(times.decodes, ElementsAre(0.75, 0.25));
  EXPECT_THAT(times.request, ElementsAre(2.75, 3.25));
  InferenceTimes of_one_token;
  of_one_token.add(2, {});
  EXPECT_TRUE(of_one_token.decode.empty() && of_one_token.decodes.empty());
  EXPECT_THAT(of_one_token.request, ElementsAre(2));
}

RankMemory memory_of(int rank) {
  RankMemory memory;
  memory.rank = rank;
  memory.categories[static_cast<size_t>(Category::parameters)] = {2 * kGiB, 2 * kGiB};
  memory.categories[static_cast<size_t>(Category::activations)] = {kGiB, kGiB};
  memory.categories[static_cast<size_t>(Category::host)] = {kGiB / 2, kGiB / 2};
  memory.total = {3 * kGiB, 3 * kGiB};
  memory.process_peak = {4 * kGiB, 4 * kGiB};
  return memory;
}

TEST(CacheBudget, IsWhatWeightsAndPeakLeave) {
  const auto budget = cache_budget(memory_of(3), 10 * kGiB, /*cache_bytes=*/kGiB / 4, /*bytes_per_token=*/1000);
  EXPECT_EQ(budget.rank, 3);
  EXPECT_EQ(budget.weights, 5 * kGiB / 2) << "those asleep in the host's memory too";
  EXPECT_EQ(budget.peak, 4 * kGiB - 5 * kGiB / 2 - kGiB / 4) << "the cache that the run had is what the budget is for";
  EXPECT_EQ(budget.bytes(), 10 * kGiB - (4 * kGiB - kGiB / 4));
  EXPECT_EQ(budget.tokens(), budget.bytes() / 1000);
  EXPECT_EQ(cache_budget(memory_of(0), kGiB, kGiB / 4, 1000).tokens(), 0) << "less than the weights take";
  EXPECT_LT(cache_budget(memory_of(0), kGiB, kGiB / 4, 1000).bytes(), 0);
}

TEST(CacheBudget, OnAGpuIsOfItsMemory) {
  auto memory = memory_of(0);
  memory.gpu.emplace();
  memory.gpu->used = {5 * kGiB, 5 * kGiB};
  const auto budget = cache_budget(memory, 80 * kGiB, kGiB, 1000);
  EXPECT_TRUE(budget.of_gpu);
  EXPECT_EQ(budget.weights, 2 * kGiB) << "what lies in host memory is not in it";
  EXPECT_EQ(budget.bytes(), 76 * kGiB);
}

struct Example {
  Settings settings;
  InferenceBenchOptions options;
  InferenceBench bench{.settings = settings, .options = options, .prompt_tokens = 512, .parameters = 124'439'808, .ranks = 2, .threads = 4, .device = "cpu", .dtype = "bf16",
                       .memory = {memory_of(0), memory_of(1)}, .cache_bytes = 561 * 1000, .budget = cache_budget(memory_of(1), 10 * kGiB, 561 * 1000, 1000), .times = {}};

  Example() {
    options.requests = 2;
    options.new_tokens = 50;
    bench.times.add(0.25, std::vector<double>(49, 0.125));
    bench.times.add(0.75, std::vector<double>(49, 0.375));
  }
};

TEST(InferenceReport, OfTheTableHasLinesOfAtMostAHundredColumns) {
  Example example;
  example.settings.model.hf_path = "some/folder";
  for (const double scale : {1e-5, 1.0, 1e4}) {
    example.bench.times = {};
    for (int request = 0; request < 100; ++request) example.bench.times.add(scale * (1 + request), std::vector<double>(49, 12.3456789 * scale));
    std::istringstream lines(inference_bench_table(example.bench));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
  }
}

TEST(InferenceReport, HasALineForEachFigure) {
  const Example example;
  const auto table = inference_bench_table(example.bench);
  EXPECT_THAT(table, HasSubstr("124439808 parameters in bf16 (fresh weights), stage 3, 2 ranks of 4 threads\n2 requests after one that does not count: 1 x 512 tokens, and 50 new ones each\n"));
  const auto expect_line = [&](const std::string& pattern) {
    EXPECT_THAT(table, testing::ContainsRegex("\n +" + pattern + "\n"));
  };
  EXPECT_THAT(table, testing::ContainsRegex("\nlatency +prefill +decode +decodes +request\n"));
  expect_line("n +2 +98 +2 +2");
  expect_line("total s +1.000000 +24.500000 +24.500000 +25.500000");
  expect_line("mean ms +500.000 +250.000 +12250.000 +12750.000");
  expect_line("std ms \\(%\\) +250.000 \\(50.00 %\\) +125.000 \\(50.00 %\\) +6125.000 \\(50.00 %\\) +6375.000 \\(50.00 %\\)");
  expect_line("p50 ms +250.000 +125.000 +6125.000 +6375.000");
  for (const char* high : {"p90", "p95", "p99"}) expect_line(high + std::string(" ms +750.000 +375.000 +18375.000 +19125.000"));
  expect_line("tokens/s +1024.0 +4.0 +4.0 +3.9");
  expect_line("process peak +4,294,967,296 +4.00 GiB +4,294,967,296 +4.00 GiB +0");
  EXPECT_THAT(table, HasSubstr("keys and values of rank 1\n  of a request        547.85 KiB   1 x 561 positions of 1000 bytes\n"));
  expect_line("= budget +6.00 GiB +6443011 tokens, 11484 such requests at a time");
}

TEST(InferenceReport, OfJsonHasTheSameFigures) {
  const Example example;
  const auto json = nlohmann::json::parse(inference_bench_json(example.bench));
  const auto& decode = json["decode"];
  EXPECT_EQ(decode["n"], 98);
  EXPECT_EQ(decode["total"], 24.5);
  EXPECT_EQ(decode["mean"], 0.25);
  EXPECT_EQ(decode["std"], 0.125);
  EXPECT_EQ(decode["std_percent"], 50);
  EXPECT_EQ(decode["p50"], 0.125);
  EXPECT_EQ(decode["p99"], 0.375);
  EXPECT_EQ(decode["tokens_per_second"], 4);
  EXPECT_EQ(json["prefill"]["tokens_per_second"], 1024);
  EXPECT_EQ(json["request"]["n"], 2);
  EXPECT_EQ(json["memory"][1]["process_peak"]["measured"], 4 * kGiB);
  EXPECT_EQ(json["cache_budget"]["tokens"], example.bench.budget.tokens());
  EXPECT_TRUE(json["weights"].is_null());
}

TEST(InferenceReport, SaysThatOneNewTokenHasNothingToDecode) {
  Example example;
  example.options.new_tokens = 1;
  example.bench.times = {};
  example.bench.times.add(0.25, {});
  EXPECT_THAT(inference_bench_table(example.bench), testing::ContainsRegex("\n  n +1 +- +- +1\n"));
  const auto json = nlohmann::json::parse(inference_bench_json(example.bench));
  EXPECT_TRUE(json["decode"].is_null() && json["decodes"].is_null());
  EXPECT_EQ(json["request"]["tokens_per_second"], 4);
}

}  // namespace
}  // namespace zerorun
