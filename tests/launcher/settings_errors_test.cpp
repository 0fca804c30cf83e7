#include <gmock/gmock.h>

#include <algorithm>

#include "core/nearest_name.h"
#include "launcher/settings.h"
#include "launcher/settings_schema.h"
#include "tests/launcher/expect_error.h"
#include "tests/launcher/temporary_folder.h"

namespace zerorun {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

constexpr const char* kRequired = R"(model: {preset: 124m}
data: {train: text.txt}
training: {steps: 100, global_batch_size: 8, micro_batch_size: 4, seq_len: 64}
optimizer: {lr: 1e-3}
)";

std::string errors_of(const std::string& yaml, const std::vector<Override>& overrides = {}) {
  const TemporaryFolder folder;
  const std::string path = folder.write("t.yaml", yaml);
  std::string errors = message_of(ErrorKind::configuration, [&] { read_settings(path, overrides); });
  for (size_t at; (at = errors.find(folder.path() + "/")) != std::string::npos;) errors.erase(at, folder.path().size() + 1);
  return errors;
}

std::string errors_of_override(const std::string& key, const std::string& value) { return errors_of(kRequired, {{key, value}}); }

TEST(SettingsErrors, AnUnknownKeyNamesTheNearest) {
  EXPECT_EQ(errors_of(std::string(kRequired) + "comm:\n  bakend: mpi\n"),
            "t.yaml:6:3: unknown key comm.bakend (did you mean backend?)");
  EXPECT_EQ(errors_of(std::string(kRequired) + "trainig: {}\n"), "t.yaml:5:1: unknown key trainig (did you mean training?)");
  EXPECT_EQ(errors_of(std::string(kRequired) + "comm: {stage: 2}\n"),
            "t.yaml:5:8: unknown key comm.stage (did you mean zero_optimization.stage?)");
  EXPECT_EQ(errors_of(std::string(kRequired) + "xyzzy: 1\n"), "t.yaml:5:1: unknown key xyzzy");
  EXPECT_EQ(errors_of_override("training.micro_bacth", "5"),
            "--set training.micro_bacth: unknown key training.micro_bacth (did you mean micro_batch_size?)");
}

TEST(SettingsErrors, RoundingAtRandomIsOfBf16) {
  EXPECT_THAT(errors_of_override("optimizer.stochastic_rounding", "true"),
              HasSubstr("optimizer.stochastic_rounding rounds parameters to bf16, but precision.param_dtype is fp32: set it to bf16"));
}

TEST(SettingsErrors, AreReportedAllAtOnceInTheOrderOfTheFile) {
  EXPECT_EQ(errors_of(R"(training:
  steps: "5"
  micro_bacth: 3
  micro_batch_size: 4
  micro_batch_size: 5
  seq_len: 64
optimizer:
  lr: .nan
  name: adamw
data: {train: [], validation: 1.5}
model: {preset: 124m}
)",
                      {{"run.seed", "x"}}),
            "t.yaml:2:10: training.steps is the text \"5\", expected an integer from 1 to 1000000000\n"
            "t.yaml:3:3: unknown key training.micro_bacth (did you mean micro_batch_size?)\n"
            "t.yaml:5:3: duplicate key micro_batch_size, first set in line 4\n"
            "t.yaml:8:7: optimizer.lr is .nan, expected a finite number above 0 and up to 1000\n"
            "t.yaml:9:9: optimizer.name is adamw, expected AdamW or SGD (did you mean AdamW?)\n"
            "t.yaml:10:15: data.train is [], expected a path, a glob or a list of them\n"
            "t.yaml:10:31: data.validation is 1.5, expected a path, a fraction between 0 and 1, or null\n"
            "--set run.seed: run.seed is x, expected an integer from 0 to 9223372036854775807\n"
            "t.yaml: missing key training.global_batch_size, expected an integer from 1 to 16777216");
}

struct BadValue {
  const char* key;
  const char* value;
};

class RefusedValue : public testing::TestWithParam<BadValue> {};

TEST_P(RefusedValue, IsNamedWithWhatWasExpected) {
  const auto& [key, value] = GetParam();
  const std::string errors = errors_of_override(key, value);
  EXPECT_THAT(errors, testing::StartsWith(std::string("--set ") + key + ": " + key + " is "));
  EXPECT_THAT(errors, HasSubstr(", expected "));
  EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 0) << errors;
}

INSTANTIATE_TEST_SUITE_P(
    Values, RefusedValue,
    testing::Values(
        // wrong type
        BadValue{"training.steps", "five"}, BadValue{"training.steps", "\"5\""}, BadValue{"training.steps", "5.5"},
        BadValue{"training.steps", "[5]"}, BadValue{"training.steps", "{a: 5}"}, BadValue{"training.steps", "true"},
        BadValue{"training.steps", ""}, BadValue{"training.steps", "010"}, BadValue{"training.steps", "0x10"},
        BadValue{"training.steps", "1e3"}, BadValue{"model.tie_word_embeddings", "yes"},
        BadValue{"model.tie_word_embeddings", "1"}, BadValue{"optimizer.betas", "0.9"},
        BadValue{"optimizer.betas", "[0.9]"}, BadValue{"optimizer.betas", "[0.9, 0.95, 0.99]"},
        BadValue{"optimizer.betas", "[0.9, x]"}, BadValue{"data.train", "{a: b}"}, BadValue{"data.train", "[[a]]"},
        BadValue{"data.train", "null"}, BadValue{"data.train", "\"\""}, BadValue{"run.dir", "null"},
        BadValue{"run.threads", "null"},
        // out of range
        BadValue{"training.steps", "0"}, BadValue{"training.steps", "-5"},
        BadValue{"training.steps", "99999999999999999999"}, BadValue{"training.micro_batch_size", "-1"},
        BadValue{"model.hidden_size", "1099511627776"}, BadValue{"model.vocab_size", "1099511627776"},
        BadValue{"training.seq_len", "1099511627776"}, BadValue{"training.global_batch_size", "1099511627776"},
        BadValue{"model.num_hidden_layers", "1099511627776"}, BadValue{"run.threads", "0"}, BadValue{"run.seed", "-1"},
        BadValue{"zero_optimization.stage", "4"}, BadValue{"zero_optimization.prefetch", "-1"},
        BadValue{"comm.timeout_seconds", "0"}, BadValue{"comm.timeout_seconds", "1e300"},
        BadValue{"memory.limit", "1e300"}, BadValue{"memory.limit", "-6GiB"}, BadValue{"memory.limit", "6GB"},
        BadValue{"memory.limit", "0.3B"}, BadValue{"memory.limit", "much"}, BadValue{"metrics.log_freq", "0"},
        BadValue{"data.validation", "0"}, BadValue{"data.validation", "1"}, BadValue{"data.validation", "-0.1"},
        BadValue{"optimizer.betas", "[0.9, 1]"}, BadValue{"optimizer.momentum", "1"},
        BadValue{"lr_scheduler.min_lr_factor", "1.1"},
        // not finite
        BadValue{"optimizer.lr", ".nan"}, BadValue{"optimizer.lr", ".inf"}, BadValue{"optimizer.lr", "nan"},
        BadValue{"optimizer.lr", "inf"}, BadValue{"optimizer.lr", "1e999"}, BadValue{"optimizer.lr", "0"},
        BadValue{"optimizer.lr", "-1"}, BadValue{"training.max_norm", "-.inf"}, BadValue{"data.validation", ".nan"},
        BadValue{"memory.limit", ".inf"},
        // names
        BadValue{"run.determinism", "strickt"}, BadValue{"optimizer.name", "Adam"}, BadValue{"run.device", "gpu"},
        BadValue{"comm.backend", "gloo"}, BadValue{"model.family", "mamba"}, BadValue{"run.name", "a/b"},
        BadValue{"run.name", ".."}, BadValue{"run.name", "\"a\\nb\""}));

TEST(SettingsErrors, ASectionIsAMapping) {
  const std::string errors = errors_of("training: 5\n");
  EXPECT_THAT(errors, HasSubstr("t.yaml:1:11: training is 5, expected a mapping of steps, global_batch_size, "));
  EXPECT_THAT(errors, testing::Not(HasSubstr("missing key training.steps")));
  EXPECT_EQ(errors_of_override("training", "5"),
            "--set training: training is a section, expected one of its keys, such as training.steps");
}

TEST(SettingsErrors, AnEmptyFileIsNamed) {
  EXPECT_THAT(errors_of(""), testing::StartsWith("t.yaml is empty, expected a mapping of run, model, data, "));
  EXPECT_THAT(errors_of("# only a comment\n"), testing::StartsWith("t.yaml is empty"));
  EXPECT_THAT(errors_of("- 1\n"), testing::StartsWith("t.yaml holds [1], expected a mapping of "));
}

TEST(SettingsErrors, AnAliasIsNoValue) {
  EXPECT_EQ(errors_of(std::string(kRequired) + "run: {seed: &s 1}\nmetrics: {log_freq: *s}\n"),
            "t.yaml:5:13: an anchor (&name) is not allowed\n"
            "t.yaml:6:21: an alias (*name) is not allowed: write the value itself");
}

TEST(SettingsErrors, AMissingFileIsAMissingInput) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of(ErrorKind::missing_input, [&] { read_settings(folder.file("no.yaml")); }),
              EndsWith("no.yaml: No such file or directory"));
  EXPECT_THAT(message_of(ErrorKind::missing_input, [&] { read_settings(folder.path()); }), HasSubstr("it is a folder"));
}

TEST(SettingsErrors, AnEndlessFileIsNoConfiguration) {
  EXPECT_EQ(message_of(ErrorKind::configuration, [] { read_settings("/dev/zero"); }),
            "/dev/zero is larger than 1 MiB: it is no configuration");
}

TEST(SettingsErrors, KeysThatContradictEachOtherAreNamed) {
  EXPECT_EQ(errors_of_override("lr_scheduler.warmup_steps", "101"),
            "--set lr_scheduler.warmup_steps: lr_scheduler.warmup_steps is 101, expected at most training.steps, which is 100");
  EXPECT_THAT(errors_of_override("training.eval_interval", "5"), HasSubstr("but data.validation is null"));
  EXPECT_EQ(errors_of_override("model.max_position_embeddings", "32"),
            "t.yaml:3:76: training.seq_len is 64, expected at most model.max_position_embeddings, which is 32");
  EXPECT_THAT(errors_of(kRequired, {{"model.hidden_size", "100"}, {"model.num_attention_heads", "3"}}),
              HasSubstr("model.hidden_size is 100, expected a multiple of model.num_attention_heads, which is 3"));
}

TEST(SettingsErrors, AContradictionWithABadValueIsNotReported) {
  const std::string errors = errors_of(kRequired, {{"training.steps", "x"}, {"lr_scheduler.warmup_steps", "101"}});
  EXPECT_THAT(errors, testing::Not(HasSubstr("at most training.steps")));
}

TEST(SettingsErrors, AModelHasAPresetOrItsShape) {
  const std::string errors = errors_of_override("model.preset", "null");
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"}) {
    EXPECT_THAT(errors, HasSubstr(std::string("missing key model.") + key + ": set it, or name a model.preset"));
  }
}

// Every key of the schema, misspelt by its last letter, is found again.
TEST(SettingsErrors, EveryKeyCanBeSuggested) {
  std::vector<std::string> names;
  for (const Field& field : settings_schema()) names.push_back(field.name);
  for (const std::string& name : names) {
    EXPECT_EQ(nearest_name(name + "x", names), name);
  }
  EXPECT_EQ(nearest_name("foo", names), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'a'), names), "");
}

}  // namespace
}  // namespace zerorun
