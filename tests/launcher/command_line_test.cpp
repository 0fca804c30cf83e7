#include "launcher/command_line.h"

#include <gmock/gmock.h>

#include <sstream>

#include "tests/launcher/expect_error.h"

namespace zerorun {
namespace {

using Command = CommandLine::Command;

CommandLine parse(std::vector<const char*> words) {
  words.insert(words.begin(), "zerorun");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

std::string refusal(const std::vector<const char*>& words) {
  return message_of(ErrorKind::usage, [&] { parse(words); });
}

TEST(Help, FitsAHundredColumns) {
  std::istringstream lines(help_text());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
}

TEST(CommandLine, AFileAloneIsTrained) {
  for (const auto& words : {std::vector<const char*>{"train.yaml"}, {"train", "train.yaml"}}) {
    const CommandLine line = parse(words);
    EXPECT_EQ(line.command, Command::train);
    EXPECT_EQ(line.config, "train.yaml");
  }
}

TEST(CommandLine, APlanHasRanks) {
  const CommandLine line = parse({"plan", "train.yaml", "--ranks", "8", "--json"});
  EXPECT_EQ(line.command, Command::plan);
  EXPECT_EQ(line.config, "train.yaml");
  EXPECT_EQ(line.ranks, 8);
  EXPECT_TRUE(line.json);
}

TEST(CommandLine, AnEvaluationTakesAFileAndOverrides) {
  const CommandLine line = parse({"evaluate", "train.yaml", "--json", "--set", "model.hf_path=runs/train/hf"});
  EXPECT_EQ(line.command, Command::evaluate);
  EXPECT_EQ(line.config, "train.yaml");
  EXPECT_TRUE(line.json);
  ASSERT_EQ(line.overrides.size(), 1u);
  EXPECT_THAT(help_text(), testing::HasSubstr("zerorun evaluate train.yaml"));
}

TEST(CommandLine, AReportHasARunAndAPlaceForItsPage) {
  const CommandLine line = parse({"report", "runs/train", "--out", "page.html"});
  EXPECT_EQ(line.command, Command::report);
  EXPECT_EQ(line.config, "runs/train");
  EXPECT_EQ(line.out, "page.html");
  EXPECT_EQ(parse({"report", "runs/train"}).out, "");
  EXPECT_THAT(help_text(), testing::HasSubstr("zerorun report runs/train"));
  EXPECT_THAT(refusal({"report"}), testing::HasSubstr("missing the run folder: zerorun report runs/train"));
  EXPECT_THAT(refusal({"report", "a", "b"}), testing::HasSubstr("one run folder at a time, found a and b"));
  EXPECT_THAT(refusal({"report", "a", "--out", ""}), testing::HasSubstr("--out is empty"));
  EXPECT_THAT(refusal({"report", "a", "--json"}), testing::HasSubstr("report.json in the run folder is its JSON"));
  EXPECT_THAT(refusal({"report", "a", "--set", "run.name=b"}), testing::HasSubstr("--set belongs to"));
  EXPECT_THAT(refusal({"plan", "a.yaml", "--ranks", "2", "--out", "b"}), testing::HasSubstr("--out belongs to zerorun report"));
}

TEST(CommandLine, TimingBelongsToEnv) {
  const char* const timed[] = {"zerorun", "env", "--timing"};
  EXPECT_TRUE(parse_command_line(3, timed).timing);
  const char* const plan[] = {"zerorun", "plan", "a.yaml", "--ranks", "2", "--timing"};
  EXPECT_THROW(parse_command_line(6, plan), Error);
}

TEST(CommandLine, ALadderHasAModelAndRows) {
  const CommandLine toy = parse({"bench", "ladder"});
  EXPECT_EQ(toy.command, Command::bench);
  EXPECT_EQ(toy.ladder.preset, "mingpt-gpt2-large-sort");
  EXPECT_EQ(toy.ladder.seq_len, 11);
  EXPECT_EQ(toy.ladder.batch, 128);
  const CommandLine line = parse({"bench", "ladder", "--hidden-size", "64", "--layers=2", "--heads", "4", "--rows", "whole,sgd", "--steps", "1", "--json"});
  EXPECT_EQ(line.ladder.hidden_size, 64);
  EXPECT_EQ(line.ladder.layers, 2);
  EXPECT_EQ(line.ladder.heads, 4);
  EXPECT_EQ(line.ladder.steps, 1);
  EXPECT_THAT(line.ladder.rows, testing::ElementsAre("whole", "sgd"));
  EXPECT_TRUE(line.ladder.json);
  EXPECT_EQ(parse({"bench", "ladder", "--help"}).command, Command::help);
  EXPECT_THAT(help_text(), testing::HasSubstr("zerorun bench ladder"));
}

TEST(CommandLine, OverridesKeepTheirOrderAndEverythingAfterTheFirstEquals) {
  const CommandLine line = parse({"--set", "training.steps=5", "train.yaml", "--set=data.train=a=b", "--set", "run.name="});
  ASSERT_EQ(line.overrides.size(), 3u);
  EXPECT_EQ(line.overrides[0].key, "training.steps");
  EXPECT_EQ(line.overrides[0].value, "5");
  EXPECT_EQ(line.overrides[1].value, "a=b");
  EXPECT_EQ(line.overrides[2].value, "");
  EXPECT_EQ(line.config, "train.yaml");
}

TEST(CommandLine, HelpAndVersionNeedNoFile) {
  EXPECT_EQ(parse({"--help"}).command, Command::help);
  EXPECT_EQ(parse({"-h"}).command, Command::help);
  EXPECT_EQ(parse({"plan", "--help"}).command, Command::help);
  EXPECT_EQ(parse({"--version"}).command, Command::version);
  EXPECT_THAT(help_text(), testing::HasSubstr("zerorun plan train.yaml --ranks 8"));
  EXPECT_THAT(version(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
}

TEST(CommandLine, GenerateHasOptionsOfItsOwn) {
  const auto line = parse({"generate", "--hf", "runs/a/hf", "--tokens", "7,0,12", "--max-tokens", "5", "--temperature", "0.5", "--top-k", "3", "--top-p",
                           "0.25", "--seed", "18446744073709551615", "--param-dtype", "bf16", "--no-cache", "--json"});
  EXPECT_EQ(line.command, Command::generate);
  const auto& generate = line.generate;
  EXPECT_EQ(generate.hf, "runs/a/hf");
  EXPECT_EQ(generate.tokens, (std::vector<int64_t>{7, 0, 12}));
  EXPECT_FALSE(generate.prompt);
  EXPECT_EQ(generate.max_tokens, 5);
  EXPECT_EQ(generate.sampling.temperature, 0.5);
  EXPECT_EQ(generate.sampling.top_k, 3);
  EXPECT_EQ(generate.sampling.top_p, 0.25);
  EXPECT_EQ(generate.sampling.seed, UINT64_MAX);
  EXPECT_EQ(generate.param_dtype, Settings::ParamDtype::bf16);
  EXPECT_TRUE(!generate.cached && generate.json);
  EXPECT_EQ(parse({"generate", "--hf", "a", "--prompt", "-"}).generate.prompt, "-");
  EXPECT_EQ(parse({"generate", "--help"}).command, Command::help);
  EXPECT_THAT(help_text(), testing::AllOf(testing::HasSubstr("zerorun generate --hf DIR"), testing::HasSubstr("--top-p P")));
}

TEST(CommandLine, BenchRatesTakesAFolder) {
  const auto rates = parse({"bench", "rates", "--path", "/scratch", "--mib", "64"}).rates;
  ASSERT_TRUE(rates.has_value());
  EXPECT_EQ(rates->path, "/scratch");
  EXPECT_EQ(rates->bytes, 64 << 20);
  EXPECT_FALSE(parse({"bench", "ladder"}).rates.has_value());
}

TEST(CommandLine, BenchOffloadTakesAConfiguration) {
  const auto line = parse({"bench", "offload", "train.yaml", "--steps", "7", "--set", "run.seed=3"});
  ASSERT_TRUE(line.offload.has_value());
  EXPECT_EQ(line.config, "train.yaml");
  EXPECT_EQ(line.offload->steps, 7);
  ASSERT_EQ(line.overrides.size(), 1u);
  EXPECT_EQ(line.overrides[0].key, "run.seed");
  EXPECT_FALSE(parse({"bench", "rates"}).offload.has_value());
  EXPECT_EQ(parse({"bench", "ladder", "--rows", "offload"}).ladder.rows, std::vector<std::string>{"offload"});
}

TEST(CommandLine, BenchInferenceTakesAConfiguration) {
  const auto line = parse({"bench", "inference", "train.yaml", "--requests", "2", "--set", "run.seed=3"});
  ASSERT_TRUE(line.inference.has_value());
  EXPECT_EQ(line.config, "train.yaml");
  EXPECT_EQ(line.inference->requests, 2);
  EXPECT_EQ(line.overrides.size(), 1u);
  EXPECT_FALSE(parse({"bench", "rates"}).inference.has_value());
  EXPECT_EQ(parse({"bench", "inference", "--help"}).command, Command::help);
  EXPECT_THAT(help_text(), testing::AllOf(testing::HasSubstr("zerorun bench inference"), testing::HasSubstr("--prompt-tokens N")));
}

TEST(CommandLine, SchemaAndEnvNeedNoFile) {
  EXPECT_EQ(parse({"schema"}).command, Command::schema);
  EXPECT_EQ(parse({"env"}).command, Command::env);
  EXPECT_TRUE(parse({"env", "--json"}).json);
  EXPECT_THAT(help_text(), testing::AllOf(testing::HasSubstr("zerorun schema"), testing::HasSubstr("zerorun env [--json]")));
}

TEST(CommandLine, RefusesInOneLineWithAHint) {
  const std::vector<std::pair<std::vector<const char*>, const char*>> cases = {
      {{}, "missing the configuration"},
      {{"train"}, "missing the configuration"},
      {{"trian", "train.yaml"}, "unknown command trian (did you mean train?)"},
      {{"a.yaml", "b.yaml"}, "unknown command a.yaml, expected train, evaluate, generate, plan, estimate, report, bench, schema, env"},
      {{"--json", "generate"}, "generate comes before its options"},
      {{"generate", "--tokens", "1"}, "--hf DIR is missing"},
      {{"generate", "--hf", "a", "--tokens", "1", "--tokens", "2"}, "--tokens"},
      {{"generate", "--hf", "a", "--tokens", "1", "more"}, "positional"},
      {{"schema", "a.yaml"}, "zerorun schema takes no file, found a.yaml"},
      {{"schema", "--json"}, "zerorun schema prints JSON"},
      {{"env", "--ranks", "2"}, "--ranks belongs to zerorun plan"},
      {{"env", "--set", "run.seed=1"}, "--set belongs to zerorun train, evaluate and plan"},
      {{"train", "a.yaml", "b.yaml"}, "one configuration at a time, found a.yaml and b.yaml"},
      {{"train.yaml", "--wrong"}, "--wrong"},
      {{"train.yaml", "--rank", "8"}, "--rank"},
      {{"train.yaml", "--set"}, "--set"},
      {{"train.yaml", "--set", "training.steps"}, "expected KEY=VALUE"},
      {{"train.yaml", "--set", "=5"}, "expected KEY=VALUE"},
      {{"train.yaml", "--ranks", "8"}, "--ranks belongs to zerorun plan"},
      {{"train.yaml", "--json"}, "--json belongs to zerorun evaluate, plan and env"},
      {{"evaluate"}, "missing the configuration"},
      {{"evaluate", "train.yaml", "--ranks", "8"}, "an evaluation's ranks are those of mpirun"},
      {{"bench"}, "zerorun bench knows ladder, offload, inference and rates"},
      {{"bench", "leader"}, "zerorun bench knows ladder, offload, inference and rates, found leader"},
      {{"bench", "offload"}, "zerorun bench offload takes one configuration"},
      {{"bench", "offload", "a.yaml", "--steps", "0"}, "--steps is 0, expected 1 to"},
      {{"bench", "ladder", "train.yaml"}, "zerorun bench ladder takes no file, found train.yaml"},
      {{"bench", "ladder", "--set", "run.seed=1"}, "--set"},
      {{"bench", "ladder", "--layers", "2"}, "--hidden-size, --layers and --heads together"},
      {{"bench", "ladder", "--preset", "gpt2", "--layers", "2"}, "--hidden-size, --layers and --heads together"},
      {{"bench", "ladder", "--batch", "0"}, "--batch is 0, expected 1 to 1000000"},
      {{"bench", "rates", "train.yaml"}, "zerorun bench rates takes no file, found train.yaml"},
      {{"bench", "rates", "--mib", "0"}, "--mib is 0, expected 1 to 1048576"},
      {{"--json", "bench", "ladder"}, "bench comes before its options"},
      {{"plan", "train.yaml"}, "zerorun plan needs --ranks N"},
      {{"plan", "train.yaml", "--ranks", "0"}, "--ranks is 0, expected 1 to 65536"},
      {{"plan", "train.yaml", "--ranks", "-1"}, "--ranks is -1"},
      {{"plan", "train.yaml", "--ranks", "x"}, "--ranks"},
      {{"plan", "train.yaml", "--ranks", "99999999999"}, "--ranks"},
      {{"plan", "train.yaml", "--ranks", "1", "--ranks", "2"}, "--ranks"},
      {{"plan", "train.yaml", "--ranks", "1", "--disk", "1TiB"}, "--disk belongs to zerorun plan FILE --search"},
      {{"plan", "train.yaml", "--ranks", "1", "--search", "--device", "h10"}, "--device is 'h10' (did you mean h100?)"},
      {{"evaluate", "train.yaml", "--search"}, "--search belongs to zerorun plan"}};
  for (const auto& [words, expected] : cases) {
    const std::string message = refusal(words);
    EXPECT_THAT(message, testing::HasSubstr(expected));
    EXPECT_THAT(message, testing::EndsWith("; see zerorun --help"));
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace zerorun
