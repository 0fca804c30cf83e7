#include "core/data/batches.h"

#include <ATen/ATen.h>

#include "core/memory.h"
#include "core/unit.h"
#include "tests/core/data_folder.h"

namespace zerorun {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<int64_t> values(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<int64_t>(), tensor.const_data_ptr<int64_t>() + tensor.numel()};
}

class BatchesTest : public DataFolder {
 protected:
  // 101 tokens, 10 of them for validation: windows of 8 give (91-1)/8 = 11 and (10-1)/8 = 1.
  CorpusBatches make(uint64_t seed = 42, int64_t global_batch_size = 6, int64_t seq_len = 8) const {
    return {open_split({.train = {write_counting("a.bin", 101)}, .validation_fraction = 0.1}),
            {seed, seq_len, global_batch_size}};
  }
};

TEST_F(BatchesTest, TargetsAreTheTokensOneFurther) {
  const Batch batch = make().train(3, 1, 4);
  ASSERT_EQ(batch.tokens.sizes(), (at::IntArrayRef{4, 8}));
  ASSERT_EQ(batch.targets.sizes(), (at::IntArrayRef{4, 8}));
  EXPECT_EQ(batch.first_sample, 19);
  EXPECT_TRUE(at::equal(batch.targets, batch.tokens + 1));  // the corpus counts
  EXPECT_TRUE(at::equal(batch.tokens.select(1, 0) % 8, at::zeros({4}, at::kLong)));
}

TEST_F(BatchesTest, AnEpochHasEveryWindowOnce) {
  const CorpusBatches batches = make(42, 11);
  ASSERT_EQ(batches.train_windows(), 11);
  std::vector<int64_t> first_epoch, second_epoch;
  for (const int64_t token : values(batches.train(0, 0, 11).tokens.select(1, 0).contiguous())) first_epoch.push_back(token);
  for (const int64_t token : values(batches.train(1, 0, 11).tokens.select(1, 0).contiguous())) second_epoch.push_back(token);
  EXPECT_NE(first_epoch, second_epoch);
  EXPECT_THAT(second_epoch, testing::UnorderedElementsAreArray(first_epoch));
  EXPECT_THAT(first_epoch, testing::UnorderedElementsAre(0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80));
}

// The global stream of samples is one; ranks, micro-batches and the batch size only cut it.
TEST_F(BatchesTest, DoNotDependOnHowTheyAreDealt) {
  const CorpusBatches sixes = make(42, 6), ones = make(42, 1);
  for (int64_t step = 0; step < 8; ++step) {
    const at::Tensor whole = sixes.train(step, 0, 6).tokens;
    for (const int64_t ranks : {2, 3, 6}) {
      std::vector<at::Tensor> parts;
      for (int64_t rank = 0; rank < ranks; ++rank) parts.push_back(sixes.train(step, rank * 6 / ranks, 6 / ranks).tokens);
      EXPECT_TRUE(at::equal(at::cat(parts), whole));
    }
    for (int64_t i = 0; i < 6; ++i) EXPECT_TRUE(at::equal(ones.train(step * 6 + i, 0, 1).tokens[0], whole[i]));
  }
}

TEST_F(BatchesTest, DifferBySeed) { EXPECT_FALSE(at::equal(make(1).train(0, 0, 6).tokens, make(2).train(0, 0, 6).tokens)); }

TEST_F(BatchesTest, ValidationWindowsComeInOrder) {
  const CorpusBatches batches = make(42, 6, 4);
  ASSERT_EQ(batches.validation_windows(), 2);
  const Batch batch = batches.validation(0, 2);
  EXPECT_THAT(values(batch.tokens), ElementsAre(91, 92, 93, 94, 95, 96, 97, 98));
  EXPECT_THAT(values(batch.targets), ElementsAre(92, 93, 94, 95, 96, 97, 98, 99));
  EXPECT_THAT(values(batches.validation(1, 1).tokens), ElementsAre(95, 96, 97, 98));
}

// Ranks evaluate the same number of batches, so the last one may reach past the end of the split.
TEST_F(BatchesTest, ValidationPastTheLastWindowCountsInNoLoss) {
  const CorpusBatches batches = make(42, 6, 4);
  const int64_t ignored = kIgnoredTarget;
  EXPECT_THAT(values(batches.validation(1, 2).targets), ElementsAre(96, 97, 98, 99, ignored, ignored, ignored, ignored));
  const Batch beyond = batches.validation(7, 1);
  EXPECT_THAT(values(beyond.targets), testing::Each(ignored));
  EXPECT_THAT(values(beyond.tokens), testing::Each(testing::AllOf(testing::Ge(0), testing::Lt(101))));
}

TEST_F(BatchesTest, AreChargedToTheCallersScope) {
  const CorpusBatches batches = make();
  MemoryLedger ledger;
  const MemoryScope scope(ledger, Category::activations);
  const Batch batch = batches.train(0, 0, 3);
  EXPECT_EQ(ledger.usage().now_of(Category::activations), 3 * 8 * 16);
}

TEST_F(BatchesTest, RefuseSamplesThatAreNotThere) {
  const CorpusBatches batches = make();
  EXPECT_THROW(batches.train(0, 5, 2), Error);
  EXPECT_THROW(batches.train(-1, 0, 1), Error);
  EXPECT_THROW(batches.train(0, 0, 0), Error);
  EXPECT_THROW(batches.validation(-1, 1), Error);
  EXPECT_THROW(batches.validation(0, 0), Error);
}

TEST_F(BatchesTest, SaysHowManyTokensAWindowNeeds) {
  const std::string train = write_counting("a.bin", 100);
  expect_error(ErrorKind::bad_data, AllOf(HasSubstr("data.train has 100 tokens"), HasSubstr("seq_len 100 needs 101")),
               [&] { CorpusBatches(open_split({.train = {train}}), {.seq_len = 100, .global_batch_size = 1}); });
  expect_error(ErrorKind::bad_data, AllOf(HasSubstr("data.validation has 8 tokens"), HasSubstr("seq_len 8 needs 9")), [&] {
    CorpusBatches(open_split({.train = {train}, .validation_fraction = 0.08}), {.seq_len = 8, .global_batch_size = 1});
  });
}

TEST_F(BatchesTest, HaveNoValidationWhereThereIsNone) {
  const std::string train = write_counting("a.bin", 100);
  const CorpusBatches batches(open_split({.train = {train}}), {.seq_len = 8, .global_batch_size = 1});
  EXPECT_EQ(batches.validation_windows(), 0);
  EXPECT_THROW(batches.validation(0, 1), Error);
}

}  // namespace
}  // namespace zerorun
