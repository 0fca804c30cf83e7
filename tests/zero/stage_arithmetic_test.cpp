// States and traffic of the models that have a name, in bf16 with sums in bf16, against the arithmetic of ZeRO: exact but for padding,
// which is named. data/zero_bytes_per_rank.json was computed without this program from the counts of parameters.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/models/llama_presets.h"
#include "core/models/presets.h"
#include "tests/data_path.h"
#include "zero/dry_run.h"

namespace zerorun::testing {
namespace {

nlohmann::json read_expected() { return nlohmann::json::parse(std::ifstream(data_path("zero/data/zero_bytes_per_rank.json"))); }

Model model_of(const std::string& preset) {
  if (const auto llama = find_llama_preset(preset)) return make_llama(*llama);
  return make_gpt2(find_gpt2_preset(preset).value());
}

Prediction predict(const Model& model, int stage, int ranks) {
  DryRunOptions options;
  options.ranks = ranks;
  options.engine.sharding = Sharding::of_stage(stage);
  options.engine.precision = {at::kBFloat16, at::kBFloat16};
  options.engine.recompute = true;
  options.workload = {.micro_batch_size = 1, .seq_len = 4, .steps = 1};
  return dry_run(model, *make_adamw({}), options);
}

// Elements that are gathered once and not again for backward: embedding and head.
int64_t gathered_once(const Model& model) {
  int64_t count = 0;
  for (const auto& group : model.groups()) {
    bool needed_in_backward = false;
    for (const int unit : group.units) needed_in_backward |= model.unit(unit).backward_needs_weights();
    for (const auto& parameter : group.parameters) count += needed_in_backward ? 0 : parameter.count();
  }
  return count;
}

class StageArithmetic : public ::testing::TestWithParam<std::string> {};

std::vector<std::string> presets() {
  std::vector<std::string> names;
  const auto expected = read_expected();
  for (const auto& [name, figures] : expected.items()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Presets, StageArithmetic, ::testing::ValuesIn(presets()), [](const auto& info) {
  std::string name = info.param;
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST_P(StageArithmetic, HoldsForStatesAndTraffic) {
  const auto expected = read_expected()[GetParam()];
  const Model model = model_of(GetParam());
  const int64_t parameters = model.parameter_count();
  EXPECT_EQ(parameters, expected["params"].get<int64_t>());
  for (const int ranks : {1, 2, 8, 64}) {
    const auto& figures = expected[fmt::format("N{}", ranks)];
    const double n = ranks;
    const double per_parameter[] = {16, 4 + 12 / n, 2 + 14 / n, 16 / n};
    for (int stage = 0; stage <= 3; ++stage) {
      const auto prediction = predict(model, stage, ranks);
      const auto& memory = prediction.memory;
      const auto& traffic = prediction.traffic;
      const auto states = memory.peak_of(Category::parameters) + memory.peak_of(Category::gradients) + memory.peak_of(Category::optimizer);
      const auto padding = static_cast<double>(prediction.padding);
      EXPECT_EQ(states - std::llround(per_parameter[stage] * padding), figures[fmt::format("stage{}_state_bytes", stage)].get<int64_t>())
          << ranks << " ranks, stage " << stage;
      const int64_t sent = traffic.all_reduce.bytes_sent + traffic.reduce_scatter.bytes_sent + traffic.all_gather.bytes_sent;
      const auto of = [&](double elements) { return std::llround(2 * elements * (n - 1) / n); };
      if (stage < 3) {
        EXPECT_EQ(sent - of(2 * padding), figures[stage == 0 ? "stage0_allreduce_sent" : "stage12_rs_plus_ag_sent"].get<int64_t>()) << ranks << " ranks, stage " << stage;
      } else {
        // Less than three times the parameters: two units are gathered once. Their padding is between none and all.
        const int64_t least = figures["stage3_sent"].get<int64_t>() - of(static_cast<double>(gathered_once(model)));
        EXPECT_GE(sent, least) << ranks << " ranks";
        EXPECT_LE(sent, least + of(3 * padding)) << ranks << " ranks";
      }
    }
  }
}

}  // namespace
}  // namespace zerorun::testing
