#include "zero/group_layout.h"

#include <gtest/gtest.h>

#include "core/models/gpt2.h"

namespace zerorun {
namespace {

ParameterGroup example() { return {"example", {{"a", {3, 5}, {}}, {"b", {64}, {}}, {"c", {65}, {}}}, {0}}; }

TEST(GroupLayout, EveryParameterAndEverySliceStartsAtAMultipleOf64) {
  for (const int ranks : {1, 2, 3, 4, 7, 8}) {
    const GroupLayout layout(example(), ranks);
    EXPECT_EQ(layout.offset(0), 0);
    EXPECT_EQ(layout.offset(1), 64);
    EXPECT_EQ(layout.offset(2), 128);
    EXPECT_EQ(layout.padded_count() % ranks, 0);
    EXPECT_EQ(layout.slice_count() % 64, 0);
    EXPECT_GE(layout.padded_count(), 128 + 65);
    EXPECT_LT(layout.padded_count(), 128 + 128 + 64 * ranks);
  }
}

TEST(GroupLayout, PaddingIsWhatHoldsNoParameter) {
  const GroupLayout layout(example(), 2);
  EXPECT_EQ(layout.padded_count(), 256);
  EXPECT_EQ(layout.padding(), 256 - 15 - 64 - 65);
}

TEST(GroupLayout, MatricesComeFirstAndDecay) {
  const Model model = make_gpt2({.vocab_size = 10, .hidden_size = 8, .num_hidden_layers = 1, .num_attention_heads = 2, .max_position_embeddings = 4});
  for (const auto& group : model.groups()) {
    const GroupLayout layout(group, 2);
    for (size_t p = 0; p < group.parameters.size(); ++p) {
      const bool in_prefix = layout.offset(static_cast<int>(p)) < layout.decay_end();
      EXPECT_EQ(in_prefix, group.parameters[p].decays()) << group.parameters[p].name;
    }
  }
}

}  // namespace
}  // namespace zerorun
