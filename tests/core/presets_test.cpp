#include "core/models/presets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/model.h"
#include "core/models/llama_presets.h"
#include "tests/data_path.h"

namespace zerorun {
namespace {

using Counts = std::map<std::string, int64_t>;

Counts published_counts() { return nlohmann::json::parse(std::ifstream(data_path("core/data/presets.json"))).get<Counts>(); }

TEST(Gpt2Presets, HaveThePublishedParameterCounts) {
  for (const auto& [name, count] : published_counts()) {
    const auto config = find_gpt2_preset(name);
    ASSERT_TRUE(config) << name;
    EXPECT_EQ(make_gpt2(*config).parameter_count(), count) << name;
  }
}

TEST(Gpt2Presets, ListsEveryNameOnce) {
  std::vector<std::string> published;
  for (const auto& [name, count] : published_counts()) published.push_back(name);
  std::vector<std::string> names = gpt2_preset_names();
  std::ranges::sort(names);
  std::ranges::sort(published);
  EXPECT_EQ(names, published);
}

TEST(Gpt2Presets, KnowsNoOtherName) {
  for (const char* name : {"", "GPT2", "gpt2-", "gpt", "7b"}) EXPECT_FALSE(find_gpt2_preset(name)) << name;
}

TEST(LlamaPresets, HaveThePublishedParameterCounts) {
  const auto counts = nlohmann::json::parse(std::ifstream(data_path("core/data/llama_presets.json"))).get<Counts>();
  std::vector<std::string> names = llama_preset_names();
  std::ranges::sort(names);
  EXPECT_EQ(names.size(), counts.size());
  for (const auto& name : names) EXPECT_EQ(make_llama(*find_llama_preset(name)).parameter_count(), counts.at(name)) << name;
  EXPECT_FALSE(find_llama_preset("")) << "no alias is no name";
  EXPECT_FALSE(find_llama_preset("124m"));
}

}  // namespace
}  // namespace zerorun
