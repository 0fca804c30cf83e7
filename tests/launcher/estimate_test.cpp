// `zerorun estimate`, against figures that were computed without it, and against the engine's dry run.
#include "launcher/estimate/estimate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/architectures/catalogue.h"
#include "core/model.h"
#include "launcher/estimate/exact_stage.h"
#include "tests/data_path.h"
#include "tests/launcher/expect_error.h"
#include "zero/dry_run.h"

namespace zerorun {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;
using Figures = std::map<std::string, Json>;

EstimateOptions options_of(std::vector<const char*> words) {
  words.insert(words.begin(), "estimate");
  return parse_estimate(static_cast<int>(words.size()), words.data()).value();
}

Estimate estimate(const std::vector<const char*>& words) { return make_estimate(options_of(words)); }

double gib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

int64_t bytes_of(const Estimate& estimate, const std::string& key) {
  for (const auto& row : estimate.activations) {
    if (row.key == key) return row.bytes;
  }
  ADD_FAILURE() << "no row " << key;
  return 0;
}

// What the formulas of states and traffic have to be: trained models, and OPT.
Figures published_stages() {
  auto figures = Json::parse(std::ifstream(data_path("zero/data/zero_bytes_per_rank.json"))).get<Figures>();
  figures.merge(Json::parse(std::ifstream(data_path("launcher/data/zero_bytes_of_opt.json"))).get<Figures>());
  return figures;
}

TEST(Estimate, TheStagesOfZeroAreThePublishedBytes) {
  const auto figures = published_stages();
  EXPECT_EQ(figures.size(), 17u);
  for (const auto& [name, expected] : figures) {
    for (const char* ranks : {"1", "2", "4", "8", "64"}) {
      const auto& found = zero_formulas(find_architecture(name)->parameters, options_of({"--model", name.c_str(), "--ranks", ranks}));
      const Json& bytes = expected.at(fmt::format("N{}", ranks));
      for (int stage = 0; stage < 4; ++stage) {
        EXPECT_EQ(found[stage].states(), bytes.at(fmt::format("stage{}_state_bytes", stage)).get<int64_t>()) << name << " on " << ranks << ", stage " << stage;
        const char* sent = stage == 0 ? "stage0_allreduce_sent" : stage == 3 ? "stage3_sent" : "stage12_rs_plus_ag_sent";
        EXPECT_EQ(found[stage].sent(), bytes.at(sent).get<int64_t>()) << name << " on " << ranks << ", stage " << stage;
      }
    }
  }
}

// Rajbhandari et al. 2020, figure 1: 7.5 billion parameters on 64 ranks, in units of 1e9 bytes.
TEST(Estimate, TheFigureOfZeroIsReproduced) {
  const auto found = estimate({"--params", "7.5e9", "--ranks", "64", "--unit", "GB"});
  std::vector<std::string> gigabytes;
  for (const auto& stage : found.formulas) gigabytes.push_back(fmt::format("{:.1f}", static_cast<double>(stage.states()) / 1e9));
  EXPECT_THAT(gigabytes, testing::ElementsAre("120.0", "31.4", "16.6", "1.9"));
  for (int stage = 0; stage < 4; ++stage) EXPECT_EQ(found.formulas[stage].sent(), int64_t{15'000'000'000} / 64 * 63 * (stage == 3 ? 3 : 2));
  EXPECT_THAT(estimate_table(found), HasSubstr("16,640,625,000         16.64\n"));
  EXPECT_THAT(estimate_table(found), HasSubstr("GB = 1e9 bytes"));
}

// 16 bytes a parameter, where DeepSpeed reckons with 18 and a gathered module.
TEST(Estimate, AnEighthOfAPictureModelIsExact) {
  std::vector<std::string> gibibytes;
  for (const char* name : {"internvl2_5-2b", "internvl2_5-4b", "internvl2_5-8b", "internvl2_5-26b"}) {
    const auto found = estimate({"--model", name, "--ranks", "8", "--compat", "deepspeed"});
    gibibytes.push_back(fmt::format("{:.3f}", static_cast<double>((*found.exact)[3].states()) / (1 << 30)));
    const auto rows = deepspeed_rows(*found.deepspeed);
    EXPECT_THAT(estimate_table(found), HasSubstr(fmt::format("nothing offloaded         {:>18}{:>19}", with_commas(rows.back().gpu_bytes), with_commas((*found.exact)[3].states()))));
  }
  const auto four = estimate({"--model", "internvl2_5-4b", "--compat", "deepspeed", "--seq-len", "1024"});
  EXPECT_THAT(estimate_table(four), HasSubstr(fmt::format("activations, 1 sample of 1,024 tokens a rank: {} bytes", with_commas(bytes_of(four, "swiglu")))));
  EXPECT_THAT(gibibytes, testing::ElementsAre("4.109", "6.915", "15.042", "47.524"));
}

// Layout and schedule alone give what the engine's dry run gives, of every category but activations and scratch.
TEST(Estimate, TheExactStagesAreThoseOfTheDryRun) {
  const Precision precisions[] = {{at::kBFloat16, at::kBFloat16}, {at::kFloat, at::kFloat}, {at::kBFloat16, at::kFloat}};
  for (const char* name : {"gpt2", "mingpt-gpt2-large-sort", "easylm-debug"}) {
    const auto model = find_architecture(name).value();
    for (const auto& precision : precisions) {
      for (const int ranks : {1, 3, 8}) {
        for (int stage = 0; stage < 4; ++stage) {
          DryRunOptions options;
          options.ranks = ranks;
          options.engine.sharding = Sharding::of_stage(stage);
          options.engine.precision = precision;
          options.workload = {.micro_batch_size = 1, .seq_len = 4, .steps = 1};
          const auto truth = dry_run(*model.model, *make_adamw({}), options);
          const auto found = exact_stage(*model.model, stage, ranks, precision);
          const auto where = fmt::format("{} on {} ranks, stage {}, {} and {} bytes", name, ranks, stage, precision.parameter_bytes(), precision.gradient_bytes());
          EXPECT_EQ(found.parameters, truth.memory.peak_of(Category::parameters)) << where;
          EXPECT_EQ(found.gradients, truth.memory.peak_of(Category::gradients)) << where;
          EXPECT_EQ(found.optimizer, truth.memory.peak_of(Category::optimizer)) << where;
          EXPECT_EQ(found.gathered, truth.memory.peak_of(Category::gathered)) << where;
          EXPECT_GE(truth.memory.peak_of(Category::communication), found.gradient_slots) << where;
          EXPECT_EQ(found.all_reduce, truth.traffic.all_reduce.bytes_sent) << where;
          EXPECT_EQ(found.reduce_scatter, truth.traffic.reduce_scatter.bytes_sent) << where;
          EXPECT_EQ(found.all_gather, truth.traffic.all_gather.bytes_sent) << where;
        }
      }
    }
  }
}

TEST(Estimate, WithoutPaddingTheExactStatesAreTheFormulas) {
  for (const char* name : {"opt-125m", "opt-350m", "internvl2_5-2b", "mixtral", "gpt2-xl"}) {
    for (const char* ranks : {"1", "8", "48"}) {
      const auto found = estimate({"--model", name, "--ranks", ranks, "--compat", "deepspeed"});
      for (int stage = 0; stage < 4; ++stage) {
        const auto& exact = (*found.exact)[stage];
        EXPECT_NEAR(static_cast<double>(exact.states() - exact.padding), static_cast<double>(found.formulas[stage].states()), 3.0 * found.model->model->groups().size())
            << name << " on " << ranks << ", stage " << stage;
        EXPECT_GE(exact.padding, 0);
        EXPECT_GE(exact.reduce_scatter + exact.all_reduce, found.formulas[stage].reduce_scatter + found.formulas[stage].all_reduce) << name << " on " << ranks;
      }
      // Embedding and head once, the rest twice.
      EXPECT_LE((*found.exact)[3].all_gather, found.formulas[3].all_gather + 4 * (*found.exact)[0].padding) << name;
      EXPECT_GE((*found.exact)[3].all_gather, found.formulas[3].all_gather / 2) << name;
    }
  }
}

TEST(Estimate, ActivationsAreThoseOfThePublishedFormulas) {
  const struct {
    const char* model;
    double all, flash;
  } cases[] = {{"command-r-plus", 162.0, 102.0}, {"mixtral-8x22b", 70.875, 44.625}, {"llama-3-70b", 135.0, 85.0}};
  for (const auto& [model, all, flash] : cases) {
    const auto found = estimate({"--model", model, "--seq-len", "512", "--micro-batch", "8", "--device", "cpu"});
    EXPECT_EQ(gib(bytes_of(found, "gpt")), all) << model;
    EXPECT_EQ(gib(bytes_of(found, "gpt_flash_attention")), flash) << model;
  }
}

// A LLaMA of 20 layers at 4096 tokens: what is kept by the form of SwiGLU, and what the quadratic formula says.
TEST(Estimate, ActivationsOfSwigluAreCounted) {
  const auto found = make_estimate([] {
    auto options = options_of({"--model", "llama-debug"});
    options.seq_len = 2048;
    options.micro_batch = 2;  // as many tokens as one sample of 4096; the quadratic part alone knows the difference
    return options;
  }());
  EXPECT_EQ(fmt::format("{:.3f}", gib(bytes_of(found, "swiglu"))), "4.376");
  EXPECT_EQ(fmt::format("{:.3f}", gib(bytes_of(found, "swiglu_norms_recomputed"))), "3.126");
  EXPECT_EQ(fmt::format("{:.3f}", gib(bytes_of(found, "swiglu_full_recompute"))), "0.531");
  const BlockStack blocks = find_architecture("llama-debug")->blocks;
  EXPECT_EQ(20 * (linear_part(blocks, {4096, 1, 2}) + quadratic_part(blocks, {4096, 1, 2})), bytes_of(found, "gpt") + 20 * quadratic_part(blocks, {4096, 1, 2}) / 2);
  EXPECT_EQ(gib(20 * (linear_part(blocks, {4096, 1, 2}) + quadratic_part(blocks, {4096, 1, 2}))), 8.4375);
}

// Of GPT-3 the quadratic part is 5as/h = 80 to the linear part's 34.
TEST(Estimate, TheQuadraticPartOfGpt3IsEighty) {
  const BlockStack gpt3{.layers = 96, .hidden = 12288, .heads = 96, .key_value_heads = 96, .head_dim = 128, .inner = 4 * 12288};
  EXPECT_EQ(34 * quadratic_part(gpt3, {2048, 1, 2}), 80 * linear_part(gpt3, {2048, 1, 2}));
  EXPECT_EQ(linear_part(gpt3, {2048, 1, 4}), int64_t{66} * 2048 * 12288);
}

TEST(Estimate, TheCacheOfATokenIsThatOfItsKeyValueHeads) {
  const std::pair<const char*, int64_t> cases[] = {{"llama-debug", 163'840}, {"llama-7b", 524'288}, {"llama-3-70b", 327'680}, {"mixtral-8x22b", 229'376}, {"phi-3-mini-4k", 393'216}, {"opt-2.7b", 327'680}};
  for (const auto& [name, bytes] : cases) {
    const auto memory = inference_memory(find_architecture(name).value(), {4096, 3, 2}, 2, 0);
    EXPECT_EQ(memory.kv_bytes_per_token, bytes) << name;
    EXPECT_EQ(memory.kv_cache, 3 * 4096 * bytes) << name;
  }
}

TEST(Estimate, WeightsThatStreamTakeTheirSlots) {
  const auto model = find_architecture("llama-debug").value();
  EXPECT_EQ(fmt::format("{:.3f}", gib(inference_memory(model, {1, 1, 2}, 1, 0).weights)), "1.807");
  EXPECT_EQ(fmt::format("{:.3f}", gib(inference_memory(model, {1, 1, 2}, 1, 0).streamed_weights)), "0.322");
  EXPECT_EQ(fmt::format("{:.3f}", gib(inference_memory(model, {1, 1, 2}, 2, 0).streamed_weights)), "0.400");
  EXPECT_EQ(inference_memory(model, {1, 1, 2}, 64, 0).streamed_weights, inference_memory(model, {1, 1, 2}, 1, 0).weights) << "never more than all";
}

TEST(Estimate, DecodingIsBoundByTheBandwidth) {
  const auto phi3 = inference_memory(find_architecture("phi3").value(), {1, 1, 2}, 2, 3.35e12);
  EXPECT_NEAR(phi3.seconds_per_token, 2.28e-3, 5e-6);
  EXPECT_NEAR(phi3.tokens_per_second, 438, 1);
  const auto mixtral = find_architecture("mixtral").value();
  EXPECT_NEAR(inference_memory(mixtral, {1, 1, 2}, 2, 1e12).seconds_per_token, 2 * 39'152'031'744 / 1e12, 1e-6) << "two experts of eight";
  EXPECT_EQ(inference_memory(mixtral, {1, 1, 2}, 2, 0).tokens_per_second, 0);
}

TEST(Estimate, FormulasThatExceedEveryMachineAreAnError) {
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { estimate({"--model", "command-r-plus", "--seq-len", "131072", "--micro-batch", "65536"}); }), HasSubstr("2^58 bytes"));
}

TEST(Estimate, ALineHasAtMostAHundredColumns) {
  std::vector<std::string> names = architecture_names();
  const std::set<std::string> trained{"llama-3-70b", "gpt2-xl", "easylm-debug"};  // of the others the dry runs only take time
  std::erase_if(names, [&](const auto& name) { return !is_for_estimates_only(name) && !trained.contains(name); });
  for (const auto& name : names) {
    for (const std::vector<const char*>& more : {std::vector<const char*>{"--ranks", "512"}, {"--compat", "deepspeed", "--gpus-per-node", "8"}, {"--compat", "deepspeed", "--stage", "2"}, {"--compat", "formulas"}}) {
      std::vector<const char*> words{"--model", name.c_str(), "--bandwidth", "3.35e12"};
      words.insert(words.end(), more.begin(), more.end());
      std::istringstream table(estimate_table(estimate(words)));
      for (std::string line; std::getline(table, line);) EXPECT_LE(line.size(), 100u) << name << ": " << line;
    }
  }
}

std::string in_a_row(const Json& bytes) { return fmt::format(" {}", with_commas(bytes.get<int64_t>())); }

// What is printed for machines is what is printed for people.
TEST(Estimate, JsonHasTheBytesOfTheTable) {
  const auto found = estimate({"--model", "opt-350m", "--ranks", "8", "--bandwidth", "1e12"});
  const std::string table = estimate_table(found);
  const auto json = Json::parse(estimate_json(found));
  EXPECT_EQ(json["model"]["parameters"], 331'196'416);
  EXPECT_EQ(json["model"]["trained"], false);
  EXPECT_EQ(json["stages"].size(), 4u);
  for (const auto& stage : json["stages"]) {
    EXPECT_THAT(table, HasSubstr(in_a_row(stage["formula"]["states"])));
    for (const char* part : {"parameters", "gradients", "optimizer", "padding", "all_gather"}) EXPECT_THAT(table, HasSubstr(in_a_row(stage["zerorun"][part])));
  }
  for (const auto& row : json["activations"]) EXPECT_THAT(table, HasSubstr(in_a_row(row["bytes"])));
  for (const char* part : {"weights", "kv_cache", "activations", "logits", "total", "streamed_weights", "streamed_total"}) {
    EXPECT_THAT(table, HasSubstr(in_a_row(json["inference"][part]))) << part;
  }
  EXPECT_GT(json["inference"]["tokens_per_second"].get<double>(), 0);
  EXPECT_FALSE(json.contains("dry_runs"));
  EXPECT_FALSE(json.contains("deepspeed"));
}

TEST(Estimate, JsonOfACompatHasItsFigures) {
  const auto deepspeed = Json::parse(estimate_json(estimate({"--model", "internvl2_5-2b", "--compat", "deepspeed", "--gpus-per-node", "8"})))["deepspeed"];
  EXPECT_EQ(deepspeed["largest_layer_params"], 189'548'544);
  EXPECT_EQ(deepspeed["rows"].size(), 6u);
  EXPECT_EQ(deepspeed["rows"][0]["host_bytes"], 59'555'367'936);
  EXPECT_EQ(deepspeed["rows"][5]["gpu_bytes"], 5'721'141'504);
  const auto published = Json::parse(estimate_json(estimate({"--model", "mixtral", "--compat", "formulas", "--seq-len", "512", "--micro-batch", "8"})))["published"];
  EXPECT_EQ(published["training_activations"]["right"], 76'101'451'776);
  EXPECT_EQ(published["training_activations"]["published_gib"], 141.68);
}

// The dry run is of the run that is asked for: its states are those of the stage, and recompute keeps less.
TEST(Estimate, AStepOfATrainedModelIsDryRun) {
  const auto found = estimate({"--model", "easylm-debug", "--ranks", "4", "--seq-len", "64", "--micro-batch", "2"});
  ASSERT_EQ(found.dry_runs.size(), 8u);
  for (const auto& [stage, recompute, memory] : found.dry_runs) {
    EXPECT_EQ(state_bytes(memory, &ComparedBytes::predicted), (*found.exact)[stage].states()) << stage;
    EXPECT_GT(memory.total.predicted, (*found.exact)[stage].states()) << stage;
  }
  EXPECT_LT(found.dry_runs[7].memory.total.predicted, found.dry_runs[3].memory.total.predicted);
  const std::string table = estimate_table(found);
  EXPECT_THAT(table, HasSubstr(with_commas(found.dry_runs[3].memory.total.predicted)));
  EXPECT_EQ(Json::parse(estimate_json(found))["dry_runs"][3]["memory"]["total"]["predicted"], found.dry_runs[3].memory.total.predicted);
}

}  // namespace
}  // namespace zerorun
