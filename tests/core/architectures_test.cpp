// Models that are estimated: data/architectures.json has the published counts, computed without this program from the shapes of the models.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/architectures/catalogue.h"
#include "core/model.h"
#include "core/models/llama_presets.h"
#include "core/models/presets.h"
#include "tests/data_path.h"

namespace zerorun {
namespace {

using Figures = std::map<std::string, nlohmann::json>;
Figures published() { return nlohmann::json::parse(std::ifstream(data_path("core/data/architectures.json"))).get<Figures>(); }

int64_t count_of(const Architecture& model, const std::string& prefix) {
  int64_t count = 0;
  for (const auto& group : model.model->groups()) {
    for (const auto& parameter : group.parameters) count += parameter.name.starts_with(prefix) ? parameter.count() : 0;
  }
  return count;
}

TEST(Architectures, HaveThePublishedCounts) {
  for (const auto& [name, figures] : published()) {
    const auto model = find_architecture(name);
    ASSERT_TRUE(model) << name;
    EXPECT_EQ(model->parameters, figures["parameters"].get<int64_t>()) << name;
    EXPECT_EQ(model->active_parameters, figures.value("active", model->parameters)) << name;
    EXPECT_EQ(model->largest_module_parameters, figures.value("largest_module", model->largest_module_parameters)) << name;
    if (figures.contains("block")) {
      EXPECT_EQ(model->largest_block, figures["block"].get<int64_t>()) << name;
      EXPECT_EQ(model->block_parameters, model->blocks.layers * model->largest_block) << name;
    }
  }
}

TEST(Architectures, APictureModelIsItsTowerItsProjectorAndItsLanguageModel) {
  for (const auto& [name, figures] : published()) {
    if (!figures.contains("vit")) continue;
    const auto model = find_architecture(name).value();
    EXPECT_EQ(count_of(model, "vision_model."), figures["vit"].get<int64_t>()) << name;
    EXPECT_EQ(count_of(model, "mlp1."), figures["mlp1"].get<int64_t>()) << name;
    EXPECT_EQ(count_of(model, "language_model."), figures["llm"].get<int64_t>()) << name;
    EXPECT_EQ(model.vision->positions, 1025) << name;
  }
}

TEST(Architectures, UnitsHoldEveryParameterAndNoOther) {
  for (const auto& name : architecture_names()) {
    const auto model = find_architecture(name);
    ASSERT_TRUE(model) << name;
    std::set<std::string> seen;
    int64_t count = 0;
    for (int unit = 0; unit < model->model->unit_count(); ++unit) {
      EXPECT_FALSE(model->model->unit(unit).parameters().empty()) << name;
      for (const auto& parameter : model->model->unit(unit).parameters()) {
        if (seen.insert(parameter.name).second) count += parameter.count();
      }
    }
    EXPECT_EQ(count, model->parameters) << name;
    EXPECT_GT(model->positions, 0) << name;
    EXPECT_EQ(model->blocks.heads % model->blocks.key_value_heads, 0) << name;
  }
}

// A tied head is the embedding; the head of the 350M is as wide as its embedding of 512.
TEST(Architectures, OptsExceptionIsProjectedInAndOut) {
  const auto model = find_architecture("opt-350m").value();
  EXPECT_EQ(count_of(model, "model.decoder.project_in"), 512 * 1024);
  EXPECT_EQ(count_of(model, "model.decoder.project_out"), 512 * 1024);
  EXPECT_EQ(count_of(model, "model.decoder.final_layer_norm"), 0);
  EXPECT_EQ(count_of(model, "lm_head"), 0);
  EXPECT_EQ(count_of(model, "model.decoder.embed_positions"), 2050 * 1024);
}

TEST(Architectures, WhatIsTrainedIsDeclaredByTheTrainer) {
  std::set<std::string> trained;
  for (const auto& name : llama_preset_names()) trained.insert(name);
  for (const auto& name : gpt2_preset_names()) trained.insert(name);
  for (const auto& name : architecture_names()) {
    const bool is_alias = name == "phi3" || name == "phi-3-mini";
    EXPECT_EQ(find_architecture(name)->not_trained.empty(), is_alias || trained.contains(name)) << name;
    EXPECT_EQ(is_for_estimates_only(name), !is_alias && !trained.contains(name)) << name;
  }
  EXPECT_EQ(find_architecture("7b")->model->unit(1).parameters(), make_llama(*find_llama_preset("7b")).unit(1).parameters());
}

TEST(Architectures, ANameIsFoundInAnyCaseAndByItsAliases) {
  EXPECT_EQ(find_architecture("InternVL2_5-2B-MPO")->parameters, find_architecture("internvl2_5-2b")->parameters);
  EXPECT_EQ(find_architecture("mixtral")->name, "mixtral-8x22b");
  EXPECT_EQ(find_architecture("PHI3")->parameters, 3'821'079'552);
  EXPECT_EQ(find_architecture("command-r+")->parameters, 103'810'674'688);
  for (const char* name : {"", "opt", "gpt", "opt-125M "}) EXPECT_FALSE(find_architecture(name)) << name;
}

TEST(Architectures, ADeclaredUnitRefusesToCompute) {
  const auto model = find_architecture("opt-125m").value();
  EXPECT_THROW(model.model->unit(0).forward({}, {}, {}), std::exception);
}

}  // namespace
}  // namespace zerorun
