#include "core/data/random_batches.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

std::vector<int64_t> values(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<int64_t>(), tensor.const_data_ptr<int64_t>() + tensor.numel()};
}

TEST(RandomBatches, TargetsAreTheTokensOneFurther) {
  const Batch batch = RandomBatches({1, 1000, 9, 6}).train(2, 1, 4);
  EXPECT_EQ(batch.first_sample, 13);
  ASSERT_EQ(batch.tokens.sizes(), at::IntArrayRef({4, 9}));
  EXPECT_EQ(values(batch.targets.slice(1, 0, 8).contiguous()), values(batch.tokens.slice(1, 1, 9).contiguous()));
}

TEST(RandomBatches, ASampleIsTheSameWhoeverReadsIt) {
  const RandomBatches batches({1, 1000, 9, 6});
  const auto whole = values(batches.train(3, 0, 6).tokens), part = values(batches.train(3, 2, 3).tokens);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 2 * 9));
}

TEST(RandomBatches, StepsSeedsAndSamplesDiffer) {
  const RandomBatches batches({1, 1000, 9, 6});
  const auto first = values(batches.train(0, 0, 1).tokens);
  EXPECT_NE(first, values(batches.train(0, 1, 1).tokens));
  EXPECT_NE(first, values(batches.train(1, 0, 1).tokens));
  EXPECT_NE(first, values(RandomBatches({2, 1000, 9, 6}).train(0, 0, 1).tokens));
}

TEST(RandomBatches, TokensAreUniformInTheVocabulary) {
  const auto tokens = values(RandomBatches({1, 3, 100, 300}).train(0, 0, 300).tokens);
  for (const int64_t token : {0, 1, 2}) EXPECT_NEAR(static_cast<double>(std::ranges::count(tokens, token)), 10'000, 500) << token;
}

TEST(RandomBatches, RefuseSamplesOutsideTheBatchAndValidation) {
  const RandomBatches batches({1, 3, 9, 6});
  EXPECT_THROW(batches.train(0, 4, 3), Error);
  EXPECT_THROW(batches.validation(0, 1), Error);
  EXPECT_EQ(batches.validation_windows(), 0);
  EXPECT_THROW(RandomBatches({1, 0, 9, 6}), Error);
}

}  // namespace
}  // namespace zerorun
