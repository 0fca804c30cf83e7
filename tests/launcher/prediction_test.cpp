#include "launcher/prediction.h"

#include <gtest/gtest.h>

#include "core/models/gpt2.h"
#include "zero/group_layout.h"

namespace zerorun {
namespace {

TEST(Prediction, PaddingOfAFrozenGroupIsThatOfItsParametersAlone) {
  constexpr int kRanks = 3;
  const Model model = make_gpt2({.vocab_size = 77, .hidden_size = 6, .num_hidden_layers = 2, .num_attention_heads = 2, .max_position_embeddings = 5})
                          .with_frozen({"transformer.h.0.*"});
  for (int stage = 0; stage <= 3; ++stage) {
    DryRunOptions options;
    options.ranks = kRanks;
    options.engine.sharding = Sharding::of_stage(stage);
    options.engine.precision = {at::kBFloat16, at::kBFloat16};
    options.workload = {1, 5, 1, 0, 0};
    const auto memory = predicted_memory(dry_run(model, *make_adamw({}), options), model, std::vector<Baseline>(kRanks));
    // Parameters and gradients in bf16, master and two states in fp32; a rank keeps all or a third.
    const int64_t parameters = stage < 3 ? 2 * kRanks : 2, gradients = stage < 2 ? 2 * kRanks : 2, optimizer = stage < 1 ? 12 * kRanks : 12;
    int64_t expected = 0;
    for (const auto& group : model.groups()) {
      expected += GroupLayout(group, kRanks).padding() * (parameters + (group.trainable ? gradients + optimizer : 0));
    }
    for (const auto& rank : memory) EXPECT_NEAR(static_cast<double>(rank.padding.predicted), static_cast<double>(expected) / kRanks, 1) << "stage " << stage;
  }
}

}  // namespace
}  // namespace zerorun
