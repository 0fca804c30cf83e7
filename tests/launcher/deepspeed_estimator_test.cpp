// Against what DeepSpeed prints. data/deepspeed_internvl.txt has its published tables for the four InternVL2.5 models on 8 GPUs, whose columns were
// shifted by hand; tests/bench/deepspeed_estimator.py holds a thousand other cases against DeepSpeed itself.
#include "launcher/estimate/deepspeed_estimator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "core/architectures/catalogue.h"
#include "tests/data_path.h"

namespace zerorun {
namespace {

std::string without_blanks(std::string text) {
  std::erase_if(text, [](char c) { return c == ' '; });
  return text;
}

TEST(DeepSpeedEstimator, PrintsThePublishedTablesOfInternVl) {
  std::ifstream data(data_path("launcher/data/deepspeed_internvl.txt"));
  constexpr int kLines = 9;  // of a table, without its first line, which was not published
  int models = 0;
  for (std::string name; std::getline(data, name); ++models) {
    std::string published;
    for (int i = 0; i < kLines; ++i) {
      std::string line;
      ASSERT_TRUE(std::getline(data, line)) << name;
      published += line + "\n";
    }
    const auto model = find_architecture(name).value();
    const std::string text = deepspeed_text({.parameters = model.parameters, .largest_module = model.largest_module_parameters, .gpus_per_node = 8});
    EXPECT_EQ(without_blanks(text.substr(text.find('\n') + 1)), without_blanks(published)) << name;
  }
  EXPECT_EQ(models, 4);
}

// The example of DeepSpeed's documentation, t5-3b: counted, and from rounded counts.
TEST(DeepSpeedEstimator, PrintsTheDocumentedTablesOfT5) {
  EXPECT_EQ(deepspeed_text({.parameters = 2'851'598'336, .largest_module = 32'899'072, .gpus_per_node = 8}),
            "Estimated memory needed for params, optim states and gradients for a:\n"
            "HW: Setup with 1 node, 8 GPUs per node.\n"
            "SW: Model with 2851M total params, 32M largest layer params.\n"
            "  per CPU  |  per GPU |   Options\n"
            "   71.71GB |   0.12GB | offload_param=cpu , offload_optimizer=cpu , zero_init=1\n"
            "  127.48GB |   0.12GB | offload_param=cpu , offload_optimizer=cpu , zero_init=0\n"
            "   63.74GB |   0.79GB | offload_param=none, offload_optimizer=cpu , zero_init=1\n"
            "  127.48GB |   0.79GB | offload_param=none, offload_optimizer=cpu , zero_init=0\n"
            "    1.47GB |   6.10GB | offload_param=none, offload_optimizer=none, zero_init=1\n"
            "  127.48GB |   6.10GB | offload_param=none, offload_optimizer=none, zero_init=0\n");
  EXPECT_EQ(deepspeed_text({.parameters = 2'851'000'000, .largest_module = 32'000'000, .gpus_per_node = 8}),
            "Estimated memory needed for params, optim states and gradients for a:\n"
            "HW: Setup with 1 node, 8 GPUs per node.\n"
            "SW: Model with 2851M total params, 32M largest layer params.\n"
            "  per CPU  |  per GPU |   Options\n"
            "   71.69GB |   0.12GB | offload_param=cpu , offload_optimizer=cpu , zero_init=1\n"
            "  127.45GB |   0.12GB | offload_param=cpu , offload_optimizer=cpu , zero_init=0\n"
            "   63.72GB |   0.78GB | offload_param=none, offload_optimizer=cpu , zero_init=1\n"
            "  127.45GB |   0.78GB | offload_param=none, offload_optimizer=cpu , zero_init=0\n"
            "    1.43GB |   6.09GB | offload_param=none, offload_optimizer=none, zero_init=1\n"
            "  127.45GB |   6.09GB | offload_param=none, offload_optimizer=none, zero_init=0\n");
}

// The documentation still has 15.93 in the last row, from the 4P + 16P/(nm) of old versions; 0.19.8 prints 2P + 18P/(nm).
TEST(DeepSpeedEstimator, PrintsStageTwo) {
  EXPECT_EQ(deepspeed_text({.stage = 2, .parameters = 2'851'000'000, .gpus_per_node = 8}),
            "Estimated memory needed for params, optim states and gradients for a:\n"
            "HW: Setup with 1 node, 8 GPUs per node.\n"
            "SW: Model with 2851M total params.\n"
            "  per CPU  |  per GPU |   Options\n"
            "  127.45GB |   5.31GB | offload_optimizer=cpu \n"
            "  127.45GB |  11.28GB | offload_optimizer=none\n");
}

TEST(DeepSpeedEstimator, NamesOneOfEachAndSeveral) {
  const auto second_line = [](const DeepSpeedCase& asked) {
    const std::string text = deepspeed_text(asked);
    const size_t begin = text.find('\n') + 1;
    return text.substr(begin, text.find('\n', begin) - begin);
  };
  EXPECT_EQ(second_line({.parameters = 1'000'000, .largest_module = 1}), "HW: Setup with 1 node, 1 GPU per node.");
  EXPECT_EQ(second_line({.parameters = 1'000'000, .largest_module = 1, .gpus_per_node = 4, .nodes = 2}), "HW: Setup with 2 nodes, 4 GPUs per node.");
}

// Several nodes share what sleeps in host memory, but each of their processes builds the model whole without zero.Init.
TEST(DeepSpeedEstimator, NodesShareWhatSleeps) {
  constexpr int64_t kParameters = 1'000'000'003;
  const auto rows = deepspeed_rows({.parameters = kParameters, .largest_module = 7, .gpus_per_node = 2, .nodes = 4});
  EXPECT_EQ(rows[0].host_bytes, static_cast<int64_t>(kParameters * 18 / 4.0 * 1.5));
  EXPECT_EQ(rows[1].host_bytes, static_cast<int64_t>(kParameters * 8 * 1.5));
  EXPECT_EQ(rows[2].gpu_bytes, 4 * 7 + 2 * kParameters / 8);
  EXPECT_EQ(rows[4].gpu_bytes, 4 * 7 + 18 * kParameters / 8);
  EXPECT_EQ(rows[4].host_bytes, 4 * 7 * 2 * 1.5);
}

}  // namespace
}  // namespace zerorun
