#include "launcher/estimate/estimate_options.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "launcher/command_line.h"
#include "launcher/estimate/estimate.h"
#include "tests/launcher/expect_error.h"

namespace zerorun {
namespace {

using testing::HasSubstr;
using Words = std::vector<const char*>;

EstimateOptions parse(Words words) {
  words.insert(words.begin(), {"zerorun", "estimate"});
  const auto line = parse_command_line(static_cast<int>(words.size()), words.data());
  EXPECT_EQ(line.command, CommandLine::Command::estimate);
  return line.estimate;
}

TEST(EstimateOptions, HaveDefaults) {
  const auto options = parse({"--model", "7b"});
  EXPECT_EQ(options.model, "7b");
  EXPECT_EQ(options.ranks(), 1);
  EXPECT_EQ(options.parameter_bytes() + options.gradient_bytes() + options.optimizer_bytes(), 16);
  EXPECT_EQ(options.micro_batch, 1);
  EXPECT_FALSE(options.seq_len);
  EXPECT_FALSE(options.decimal);
}

TEST(EstimateOptions, AreRead) {
  const auto options = parse({"--params", "2851e6", "--largest-layer-params", "32000000", "--compat", "deepspeed", "--gpus-per-node", "8", "--nodes=2", "--unit", "GB", "--json"});
  EXPECT_EQ(options.parameters, 2'851'000'000);
  EXPECT_EQ(options.largest_layer, 32'000'000);
  EXPECT_EQ(options.ranks(), 16);
  EXPECT_TRUE(options.decimal);
  EXPECT_TRUE(options.json);
  EXPECT_EQ(parse({"--model", "7b", "--precision", "fp32"}).gradient_bytes(), 4);
  EXPECT_EQ(parse({"--model", "7b", "--precision", "fp32"}).optimizer_bytes(), 8);
  EXPECT_EQ(parse({"--model", "7b", "--reduce-dtype", "fp32"}).gradient_bytes(), 4);
  EXPECT_EQ(parse({"--model", "7b", "--bandwidth", "3.35e12"}).bandwidth, 3.35e12);
  EXPECT_EQ(parse({"--model", "7b", "--bandwidth", "h100"}).bandwidth, 3.35e12);
}

TEST(EstimateOptions, HelpIsHelp) {
  const char* const words[] = {"zerorun", "estimate", "--help"};
  EXPECT_EQ(parse_command_line(3, words).command, CommandLine::Command::help);
  EXPECT_THAT(help_text(), HasSubstr("--compat deepspeed"));
}

TEST(EstimateOptions, EachMistakeIsOneLine) {
  const std::pair<Words, const char*> cases[] = {
      {{}, "give --model NAME, --hf PATH of a config.json, or --params P"},
      {{"--model", "7b", "--hf", "x"}, "give --model or --hf, not both"},
      {{"--model", "7b", "--params", "7e9"}, "give --params without a model, or with --compat formulas"},
      {{"--model", "7b", "--params", "7e9", "--compat", "deepspeed"}, "counts the parameters of a model itself"},
      {{"--model", "7b", "--largest-layer-params", "1"}, "--largest-layer-params belongs to --params"},
      {{"--params", "7e9", "--largest-layer-params", "1"}, "--largest-layer-params belongs to --compat deepspeed"},
      {{"--params", "7e9", "--largest-layer-params", "8e9", "--compat", "deepspeed"}, "more than the 7000000000 of --params"},
      {{"--params", "7e9", "--compat", "deepspeed"}, "needs --largest-layer-params"},
      {{"--params", "7e9", "--compat", "formulas"}, "needs --model or --hf"},
      {{"--params", "0"}, "--params is '0', expected a number from 1 to"},
      {{"--params=-1"}, "--params is '-1', expected a number"},
      {{"--params", "1e14"}, "--params is '1e14', expected a number"},
      {{"--params", "nan"}, "--params is 'nan', expected a number"},
      {{"--params", "1.5"}, "--params is '1.5', expected a whole number"},
      {{"--params", "7B"}, "--params is '7B', expected a number"},
      {{"--model", "7b", "--ranks", "0"}, "--ranks is 0, expected 1 to 65536"},
      {{"--model", "7b", "--ranks", "2", "--nodes", "2"}, "give --ranks, or --gpus-per-node and --nodes, not both"},
      {{"--model", "7b", "--gpus-per-node", "65536", "--nodes", "2"}, "are more than 65536"},
      {{"--model", "7b", "--stage", "3"}, "--stage belongs to --compat deepspeed"},
      {{"--model", "7b", "--stage", "1", "--compat", "deepspeed"}, "--stage is 1, expected 2 to 3"},
      {{"--model", "7b", "--compat", "depspeed"}, "--compat is 'depspeed' (did you mean deepspeed?), expected deepspeed or formulas"},
      {{"--model", "7b", "--precision", "int8"}, "--precision is 'int8', expected bf16 or fp16 or fp32"},
      {{"--model", "7b", "--unit", "MB"}, "--unit is 'MB'"},
      {{"--model", "7b", "--seq-len", "0"}, "--seq-len is 0"},
      {{"--model", "7b", "--micro-batch", "65537"}, "--micro-batch is 65537"},
      {{"--model", "7b", "--slots", "0"}, "--slots is 0"},
      {{"--model", "7b", "--bandwidth", "fast"}, "--bandwidth is 'fast'"},
      {{"--model", "7b", "--rank", "2"}, "unrecognised option '--rank'"},
      {{"--model", "7b", "more"}, "estimate: "},
  };
  for (const auto& [words, says] : cases) {
    const auto message = message_of(ErrorKind::usage, [&] { parse(words); });
    EXPECT_THAT(message, HasSubstr(says));
    EXPECT_THAT(message, testing::EndsWith("see zerorun --help"));
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(EstimateOptions, AnUnknownModelIsToldTheNearest) {
  EXPECT_THAT(message_of(ErrorKind::usage, [] { make_estimate(parse({"--model", "lama-3-70b"})); }), HasSubstr("unknown --model lama-3-70b (did you mean llama-3-70b?)"));
  EXPECT_THAT(message_of(ErrorKind::usage, [] { make_estimate(parse({"--model", "gpt2", "--seq-len", "1025"})); }), HasSubstr("--seq-len 1025 exceeds the 1024 positions of gpt2"));
}

}  // namespace
}  // namespace zerorun
