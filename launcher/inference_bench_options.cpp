#include <algorithm>

#include "launcher/inference_bench.h"
#include "launcher/overrides.h"
#include "launcher/settings_values.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

namespace po = boost::program_options;

constexpr int64_t kPromptTokens = 512;
constexpr int64_t kMostTokens = 1'000'000'000, kMostSamples = 65'536, kMostRequests = 1'000'000;

std::optional<int64_t> number(const po::variables_map& given, const char* name, int64_t most) {
  if (given.count(name) == 0) return std::nullopt;
  const int64_t value = given[name].as<int64_t>();
  if (value < 1 || value > most) fail_usage("--{} is {}, expected 1 to {}", name, value, most);
  return value;
}

}  // namespace

InferenceBenchOptions parse_inference_bench_options(int argc, const char* const* argv) {
  po::options_description known;
  auto add = known.add_options();
  for (const char* name : {"prompt-tokens", "new-tokens", "batch", "requests"}) add(name, po::value<int64_t>());
  add("memory", po::value<std::string>())("set", po::value<std::vector<std::string>>()->composing())("json", po::bool_switch())(
      "words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  const auto given = parse_options(argc, argv, known, positional);
  const auto words = given["words"].as<std::vector<std::string>>();
  if (words.size() != 3) fail_usage("zerorun bench inference takes one configuration: zerorun bench inference train.yaml");
  InferenceBenchOptions options;
  options.config = words[2];
  options.prompt_tokens = number(given, "prompt-tokens", kMostTokens);
  options.new_tokens = number(given, "new-tokens", kMostTokens).value_or(options.new_tokens);
  options.batch = number(given, "batch", kMostSamples).value_or(options.batch);
  options.requests = number(given, "requests", kMostRequests).value_or(options.requests);
  if (given.count("memory") != 0) {
    const auto& word = given["memory"].as<std::string>();
    const Size size(1, int64_t{1} << 53);
    options.memory = size.read(word);
    if (!options.memory) fail_usage("--memory is '{}', expected {}", word, size.expected());
  }
  if (given.count("set") != 0) options.overrides = parse_overrides(given["set"].as<std::vector<std::string>>());
  options.json = given["json"].as<bool>();
  return options;
}

int64_t prompt_tokens_of(const InferenceBenchOptions& options, int64_t positions) {
  const int64_t left = positions - options.new_tokens, wanted = options.prompt_tokens.value_or(std::clamp<int64_t>(left, 1, kPromptTokens));
  if (wanted <= left) return wanted;
  fail(ErrorKind::configuration, "a prompt of {} token{} and --new-tokens {} are {} positions, but max_position_embeddings of the model is {}: ask for fewer with --prompt-tokens N "
       "and --new-tokens M", wanted, wanted == 1 ? "" : "s", options.new_tokens, wanted + options.new_tokens, positions);
}

}  // namespace zerorun
