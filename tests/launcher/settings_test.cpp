#include "launcher/settings.h"

#include <gmock/gmock.h>

#include "launcher/settings_schema.h"
#include "tests/launcher/expect_error.h"
#include "tests/launcher/temporary_folder.h"

namespace zerorun {
namespace {

constexpr const char* kSmall = R"(
model: {preset: 124m}
data: {train: text.txt}
training: {steps: 100, global_batch_size: 8, micro_batch_size: 4, seq_len: 64}
optimizer: {lr: 1e-3}
)";

Settings read(const std::string& yaml, const std::vector<Override>& overrides = {}) {
  const TemporaryFolder folder;
  return read_settings(folder.write("small.yaml", yaml), overrides);
}

TEST(Settings, TakeDefaultsForWhatIsNotGiven) {
  const Settings settings = read(kSmall);
  EXPECT_EQ(settings.run.name, "small");
  EXPECT_EQ(settings.run.dir, "runs/small");
  EXPECT_EQ(settings.run.seed, 42);
  EXPECT_EQ(settings.run.threads, std::nullopt);
  EXPECT_EQ(settings.model.preset, "124m");
  EXPECT_EQ(settings.model.vocab_size, std::nullopt);
  EXPECT_EQ(settings.data.train, std::vector<std::string>{"text.txt"});
  EXPECT_EQ(settings.model.hf_path, std::nullopt);
  EXPECT_EQ(settings.training.max_norm, 1.0);
  EXPECT_TRUE(settings.metrics.export_hf);
  EXPECT_EQ(settings.optimizer.betas, (std::array{0.9, 0.95}));
  EXPECT_EQ(settings.zero_optimization.stage, 3);
  EXPECT_EQ(settings.memory.limit, std::nullopt);
}

TEST(Settings, ReadEveryKeyOfTheSchema) {
  const Settings settings = read(R"(
run: {name: n, dir: out/n, seed: 7, determinism: strict, device: cpu, threads: 2}
model: {family: gpt2, preset: null, hf_path: null, vocab_size: 256, hidden_size: 128, num_hidden_layers: 4, num_attention_heads: 8,
        intermediate_size: 512, max_position_embeddings: 64, tie_word_embeddings: false, layer_norm_eps: 1e-6, dropout: 0.25,
        frozen: ["*.wte.*", "*bias"]}
data: {train: [a.txt, "b/*.txt"], validation: 0.1, format: tokens_uint16}
training: {steps: 5, global_batch_size: 12, micro_batch_size: 6, seq_len: 64, max_norm: 0.5, check_finite: false, eval_interval: 2, eval_batches: 0}
optimizer: {name: SGD, lr: 0.5, betas: [0.8, 0.99], eps: 1e-7, weight_decay: 0, momentum: 0.5}
precision: {param_dtype: fp16, reduce_dtype: bf16, tf32: true,
            fp16: {loss_scale: 128, initial_scale_power: 12, loss_scale_window: 500, hysteresis: 1, min_loss_scale: 0.5}}
activation_checkpoint: {mode: full, offload: nvme, path: /c}
lr_scheduler: {name: linear, warmup_steps: 3, min_lr_factor: 0}
zero_optimization: {stage: 1, prefetch: 2, verify_extents: true, offload_param: {device: none, path: /a, overlap: false, buffer_count: 3},
                    offload_optimizer: {device: nvme, path: /a/b, overlap: false, ratio: 0.5}}
comm: {backend: mpi, timeout_seconds: 10m, pretend_hosts: 2, check_every_collective: true, allow_shared_gpu: true}
metrics: {log_freq: 1, export_hf: false, trace_steps: 3}
memory: {limit: 1.5GiB, fail_if_predicted_over: false}
)");
  const Settings llama = read(R"(
model: {family: llama, vocab_size: 256, hidden_size: 128, num_hidden_layers: 4, num_attention_heads: 8, num_key_value_heads: 2, head_dim: 32,
        intermediate_size: 512, max_position_embeddings: 64, rms_norm_eps: 1e-5, rope_theta: 50000}
data: {train: a.txt}
training: {steps: 5, global_batch_size: 12, micro_batch_size: 6, seq_len: 64}
optimizer: {name: AdamW, lr: 0.5, stochastic_rounding: true}
precision: {param_dtype: bf16}
)");
  for (const Field& field : settings_schema()) {
    EXPECT_FALSE(settings.origins.at(field.key()) == "default" && llama.origins.at(field.key()) == "default") << field.key();
  }
  EXPECT_EQ(llama.model.num_key_value_heads, 2);
  EXPECT_EQ(llama.model.head_dim, 32);
  EXPECT_EQ(llama.model.rms_norm_eps, 1e-5);
  EXPECT_EQ(llama.model.rope_theta, 50000);
  EXPECT_TRUE(llama.optimizer.stochastic_rounding);
  EXPECT_EQ(settings.run.determinism, Settings::Determinism::strict);
  EXPECT_EQ(settings.run.threads, 2);
  EXPECT_EQ(settings.model.tie_word_embeddings, false);
  EXPECT_EQ(settings.model.layer_norm_eps, 1e-6);
  EXPECT_EQ(settings.model.frozen, (std::vector<std::string>{"*.wte.*", "*bias"}));
  EXPECT_EQ(settings.precision.param_dtype, Settings::ParamDtype::fp16);
  EXPECT_EQ(settings.precision.fp16.initial_scale_power, 12);
  EXPECT_EQ(settings.precision.fp16.min_loss_scale, 0.5);
  EXPECT_FALSE(settings.training.check_finite);
  EXPECT_EQ(settings.activation_checkpoint, (Settings::ActivationCheckpoint{Settings::Checkpointing::full, Settings::OffloadDevice::nvme, "/c"}));
  EXPECT_EQ(settings.data.train, (std::vector<std::string>{"a.txt", "b/*.txt"}));
  EXPECT_EQ(std::get<double>(settings.data.validation), 0.1);
  EXPECT_EQ(settings.data.format, Settings::Format::tokens_uint16);
  EXPECT_EQ(settings.optimizer.name, Settings::OptimizerName::sgd);
  EXPECT_EQ(settings.optimizer.betas, (std::array{0.8, 0.99}));
  EXPECT_EQ(settings.lr_scheduler.name, Settings::Schedule::linear);
  EXPECT_TRUE(settings.zero_optimization.verify_extents);
  EXPECT_EQ(settings.zero_optimization.offload_param, (Settings::ZeroOptimization::OffloadParam{Settings::OffloadDevice::none, "/a", false, 3}));
  EXPECT_EQ(settings.zero_optimization.offload_optimizer, (Settings::ZeroOptimization::OffloadOptimizer{Settings::OffloadDevice::nvme, "/a/b", false, 0.5}));
  EXPECT_EQ(settings.comm.timeout_seconds, 600);
  EXPECT_EQ(settings.comm.pretend_hosts, 2);
  EXPECT_TRUE(settings.comm.check_every_collective);
  EXPECT_EQ(settings.memory.limit, int64_t{3} << 29);
  EXPECT_FALSE(settings.memory.fail_if_predicted_over);
  EXPECT_FALSE(settings.metrics.export_hf);
  EXPECT_EQ(settings.metrics.trace_steps, 3);
}

TEST(Settings, AKeyOfAnotherFamilyIsAContradiction) {
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { read(kSmall, {{"model.head_dim", "32"}}); }),
              testing::HasSubstr("model.head_dim is a key of llama, but model.family is gpt2"));
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { read(kSmall, {{"model.family", "llama"}, {"model.layer_norm_eps", "1e-6"}}); }),
              testing::HasSubstr("model.layer_norm_eps is a key of gpt2, but model.family is llama"));
}

TEST(Settings, WhatCannotBeOffloadedIsAContradiction) {
  const std::string section = "zero_optimization.";
  const auto complaint = [](const std::vector<Override>& overrides) {
    return message_of(ErrorKind::configuration, [&] { read(kSmall, overrides); });
  };
  EXPECT_THAT(complaint({{section + "stage", "2"}, {section + "offload_param.device", "cpu"}}),
              testing::HasSubstr("zero_optimization.offload_param needs zero_optimization.stage 3, which is 2"));
  EXPECT_THAT(complaint({{section + "offload_optimizer.device", "nvme"}}),
              testing::HasSubstr("missing key zero_optimization.offload_optimizer.path: a folder on the disk to offload to"));
  EXPECT_THAT(complaint({{section + "offload_param.device", "nvme"}, {section + "offload_param.path", "/a"},
                         {section + "offload_optimizer.device", "nvme"}, {section + "offload_optimizer.path", "/b"}}),
              testing::HasSubstr("offload_optimizer.path is /b, expected zero_optimization.offload_param.path, which is /a"));
  EXPECT_THAT(complaint({{"activation_checkpoint.offload", "cpu"}}), testing::HasSubstr("activation_checkpoint.offload needs activation_checkpoint.mode full, which is none"));
  EXPECT_THAT(complaint({{"activation_checkpoint.mode", "full"}, {"activation_checkpoint.offload", "nvme"}}),
              testing::HasSubstr("missing key activation_checkpoint.path: a folder on the disk to offload to"));
  EXPECT_EQ(read(kSmall, {{section + "offload_param.device", "cpu"}}).zero_optimization.offload_param.device, Settings::OffloadDevice::cpu);
}

// Which family it is and which sizes it has is in the folder.
TEST(Settings, AFolderOfHuggingFaceStandsForPresetFamilyAndSizes) {
  const std::vector<Override> folder = {{"model.preset", "null"}, {"model.hf_path", "some/where"}, {"model.head_dim", "32"}};
  EXPECT_EQ(read(kSmall, folder).model.hf_path, "some/where");
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { read(kSmall, {{"model.hf_path", "some/where"}}); }),
              testing::HasSubstr("model.preset and model.hf_path both say which model it is"));
}

TEST(Settings, AnEmptySectionHasItsDefaults) { EXPECT_EQ(read(std::string(kSmall) + "metrics:\n").metrics.log_freq, 10); }

TEST(Settings, ALaterOverrideWins) {
  const Settings settings = read(kSmall, {{"training.steps", "5"}, {"training.steps", "6"}, {"optimizer.betas", "[0.5, 0.6]"}});
  EXPECT_EQ(settings.training.steps, 6);
  EXPECT_EQ(settings.optimizer.betas, (std::array{0.5, 0.6}));
}

TEST(Settings, AnOverrideRepairsABadValueOfTheFile) {
  const std::string bad = std::string(kSmall) + "comm: {backend: smoke}\n";
  message_of(ErrorKind::configuration, [&] { read(bad); });
  EXPECT_EQ(read(bad, {{"comm.backend", "mpi"}}).comm.backend, Settings::Backend::mpi);
}

TEST(Settings, ValuesKnowWhereTheyComeFrom) {
  const TemporaryFolder folder;
  const std::string path = folder.write("small.yaml", kSmall);
  const Settings settings = read_settings(path, {{"training.steps", "5"}});
  EXPECT_EQ(settings.origins.at("optimizer.lr"), path + ":5:17");
  EXPECT_EQ(settings.origins.at("training.steps"), "--set training.steps");
  EXPECT_EQ(settings.origins.at("run.seed"), "default");
}

// The awkward values: text that would read as something else, numbers without a short decimal form.
TEST(Settings, TheResolvedConfigurationReadsBackEqual) {
  const Settings settings = read(kSmall, {{"data.validation", "\"0.5\""},
                                          {"data.train", R"(["null", 'a "b" \c', "#x", "- y", 12, ./z.txt, "a: b", "ü.txt"])"},
                                          {"model.preset", "\"null\""},
                                          {"run.name", "\"7: x # y\""},
                                          {"optimizer.lr", "0.1234567890123456789"},
                                          {"optimizer.eps", "3e-310"},
                                          {"run.seed", "9223372036854775807"},
                                          {"run.threads", "3"},
                                          {"model.frozen", R"(["*", "a, b"])"},
                                          {"precision.fp16.min_loss_scale", "0.1"},
                                          {"memory.limit", "1048577"},
                                          {"comm.timeout_seconds", "2h"}});
  ASSERT_EQ(settings.data.train.size(), 8u);
  EXPECT_EQ(std::get<std::string>(settings.data.validation), "0.5");
  const Settings again = read(resolved_yaml(settings));
  EXPECT_TRUE(again == settings) << resolved_yaml(settings) << resolved_yaml(again);
  EXPECT_EQ(again.training.steps, 100);
}

TEST(Settings, ASectionInsideOfASectionReadsAndReportsAsAny) {
  const auto complaint = [](const std::string& yaml, const std::vector<Override>& overrides = {}) {
    return message_of(ErrorKind::configuration, [&] { read(kSmall + yaml, overrides); });
  };
  EXPECT_EQ(read(kSmall + std::string("precision: {fp16: {hysteresis: 7}}\n")).precision.fp16.hysteresis, 7);
  EXPECT_EQ(read(kSmall, {{"precision.fp16.hysteresis", "7"}}).precision.fp16.hysteresis, 7);
  EXPECT_EQ(read(kSmall + std::string("precision: {fp16: }\n")).precision.fp16.hysteresis, 2);
  EXPECT_THAT(complaint("precision: {fp16: {hysteresys: 7}}\n"), testing::HasSubstr("6:20: unknown key precision.fp16.hysteresys (did you mean hysteresis?)"));
  EXPECT_THAT(complaint("precision: {fp16: 3}\n"), testing::HasSubstr("precision.fp16 is 3, expected a mapping of loss_scale, "));
  EXPECT_THAT(complaint("precision: {fp17: {hysteresis: 7}}\n"), testing::HasSubstr("unknown key precision.fp17 (did you mean fp16?)"));
  EXPECT_THAT(complaint("", {{"precision.fp16", "3"}}), testing::HasSubstr("precision.fp16 is a section, expected one of its keys, such as precision.fp16.loss_scale"));
}

TEST(Settings, TheResolvedConfigurationShowsEachOrigin) {
  const std::string text = resolved_yaml(read(kSmall, {{"training.steps", "5"}}));
  EXPECT_THAT(text, testing::ContainsRegex("\n  steps: 5 +# --set training.steps\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\n  lr: 0.001 +# [^\n]*small.yaml:5:17\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\n  seed: 42 +# default\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\n  fp16:\n    loss_scale: 0 +# default\n"));
}

TEST(Settings, TheFingerprintFollowsEveryValueAndNoOrigin) {
  const Settings settings = read(kSmall);
  Settings moved = settings;
  moved.origins.clear();
  EXPECT_EQ(fingerprint(settings), fingerprint(moved));
  EXPECT_EQ(fingerprint(settings), fingerprint(read(kSmall, {{"training.steps", "100"}})));
  const std::vector<Override> changes = {{"run.seed", "43"},
                                         {"training.steps", "101"},
                                         {"optimizer.lr", "1.0000000000000002e-3"},
                                         {"data.validation", "0.5"},
                                         {"model.tie_word_embeddings", "true"},
                                         {"zero_optimization.stage", "2"}};
  for (const Override& change : changes) {
    EXPECT_NE(fingerprint(settings), fingerprint(read(kSmall, {change}))) << change.key;
  }
}

TEST(MicroBatches, AreWhatTheGlobalBatchLeavesToARank) {
  EXPECT_EQ(micro_batches_of(read(kSmall), 2), 1);
  EXPECT_EQ(micro_batches_of(read(kSmall), 1), 2);
  EXPECT_EQ(micro_batches_of(read(kSmall, {{"training.global_batch_size", "48"}}), 4), 3);
}

TEST(MicroBatches, ThatDoNotDivideAreRefusedWithTheSumAndWhatWouldDo) {
  const Settings settings = read(kSmall, {{"training.global_batch_size", "12"}, {"training.micro_batch_size", "5"}});
  EXPECT_EQ(message_of(ErrorKind::configuration, [&] { micro_batches_of(settings, 2); }),
            "--set training.global_batch_size: training.global_batch_size is 12, no multiple of micro_batch_size 5 x 2 ranks = 10: "
            "set global_batch_size to 10, or micro_batch_size to 6");
  EXPECT_THAT(message_of(ErrorKind::configuration, [&] { micro_batches_of(read(kSmall), 3); }),
              testing::HasSubstr("micro_batch_size 4 x 3 ranks = 12: set global_batch_size to 12, or the number of ranks to 2"));
}

}  // namespace
}  // namespace zerorun
