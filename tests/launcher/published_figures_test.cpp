// Tables of training and inference as they were published for three models, s = 512, b = 8: each cell with the mistakes it was made with, and right.
#include "launcher/estimate/published_figures.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "core/architectures/catalogue.h"
#include "launcher/estimate/inference_memory.h"

namespace zerorun {
namespace {

constexpr ActivationSizes kSizes{512, 8, 2};

const PublishedFigure& figure(const std::vector<PublishedFigure>& figures, const std::string& key) {
  for (const auto& one : figures) {
    if (one.key == key) return one;
  }
  throw std::out_of_range(key);
}

TEST(PublishedFigures, EveryCellOfThePublishedTablesIsReproduced) {
  const struct {
    const char* model;
    int64_t parameters;
    const char *weights, *kept_in_inference, *inference, *optimizer, *kept_in_training, *training;
    double right_in_training;
  } cases[] = {{"command-r-plus", 104'000'000'000, "193.72", "4.88", "198.60", "1356.01", "323.84", "1873.57", 162.0},
               {"mixtral-8x22b", 141'000'000'000, "262.63", "2.44", "265.07", "1838.43", "141.68", "2242.74", 70.875},
               {"llama-3-70b", 70'600'000'000, "131.50", "3.25", "134.75", "920.52", "270.40", "1322.42", 135.0}};
  for (const auto& expected : cases) {
    const auto model = find_architecture(expected.model).value();
    const auto figures = published_figures(model, expected.parameters, kSizes);
    const auto printed = [&](const char* key) { return fmt::format("{:.2f}", figure(figures, key).published); };
    EXPECT_EQ(printed("weights"), expected.weights) << expected.model;
    EXPECT_EQ(printed("inference_activations"), expected.kept_in_inference) << expected.model;
    EXPECT_EQ(printed("inference_total"), expected.inference) << expected.model;
    EXPECT_EQ(printed("optimizer"), expected.optimizer) << expected.model;
    EXPECT_EQ(printed("training_activations"), expected.kept_in_training) << expected.model;
    EXPECT_EQ(printed("training_total"), expected.training) << expected.model;
    EXPECT_EQ(figure(figures, "training_activations").right, static_cast<int64_t>(expected.right_in_training * (1 << 30))) << expected.model;
    EXPECT_EQ(figure(figures, "weights").right, 2 * model.parameters) << expected.model;
    EXPECT_EQ(figure(figures, "training_total").right, 16 * model.parameters + *figure(figures, "training_activations").right) << expected.model;
  }
}

// 1050.53, 525.27 and 262.63 of Mixtral's round 141 billion, 130.4 of 70 billion in 16 bits.
TEST(PublishedFigures, TheOptimizersPartsAreReproduced) {
  const auto mixtral = published_figures(find_architecture("mixtral").value(), 141'000'000'000, kSizes);
  EXPECT_EQ(fmt::format("{:.2f}", figure(mixtral, "moments").published), "1050.53");
  EXPECT_EQ(fmt::format("{:.2f}", figure(mixtral, "master").published), "525.27");
  EXPECT_EQ(fmt::format("{:.2f}", figure(mixtral, "gradients").published), "262.63");
  const auto llama = published_figures(find_architecture("llama-3-70b").value(), 70'000'000'000, kSizes);
  EXPECT_EQ(fmt::format("{:.1f}", figure(llama, "weights").published), "130.4");
  const auto gib = [](int64_t bytes) { return fmt::format("{:.2f}", static_cast<double>(bytes) / (1 << 30)); };
  EXPECT_EQ(gib(*figure(mixtral, "moments").right), "1047.71");
  EXPECT_EQ(gib(*figure(mixtral, "master").right), "523.85");
  EXPECT_EQ(gib(*figure(mixtral, "gradients").right), "261.93");
}

TEST(PublishedFigures, AMistakeIsNamedWhereItIs) {
  const auto model = find_architecture("llama-3-70b").value();
  EXPECT_THAT(figure(published_figures(model, model.parameters, kSizes), "training_activations").note, testing::HasSubstr("doubled"));
  EXPECT_EQ(figure(published_figures(model, model.parameters, kSizes), "weights").note, "");
  EXPECT_EQ(figure(published_figures(model, 70'000'000'000, kSizes), "weights").note, "round count");
}

}  // namespace
}  // namespace zerorun
