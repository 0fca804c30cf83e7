// What ops ask of a device, by arithmetic on their sizes; and the same with data and without.
#include "core/operation_count.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "core/ops/dropout.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/rms_norm.h"
#include "core/ops/swiglu.h"

namespace zerorun {
namespace {

template <typename Body>
OperationCount count(Body&& body) {
  OperationCount counted;
  const CountScope scope(counted);
  body();
  return counted;
}

at::Tensor numbers(std::vector<int64_t> shape, const at::Device& device = at::kCPU) { return at::full(shape, 0.5, at::TensorOptions().device(device)); }
at::Tensor leaf(std::vector<int64_t> shape, const at::Device& device = at::kCPU) { return numbers(std::move(shape), device).requires_grad_(); }

void expect_equal(const OperationCount& a, const OperationCount& b) {
  EXPECT_EQ(a.flops, b.flops);
  EXPECT_EQ(a.operands, b.operands);
  EXPECT_EQ(a.moved, b.moved);
}

TEST(OperationCount, OfALinearLayerIsThatOfItsProducts) {
  const auto x = leaf({3, 4}), weight = leaf({5, 4});
  at::Tensor y;
  expect_equal(count([&] { y = ops::linear(x, weight); }), {2 * 3 * 4 * 5, 4 * (12 + 20 + 15), 0});
  const auto gradient = numbers({3, 5});
  const auto backward = count([&] { y.backward(gradient); });  // of x, and of the weight
  EXPECT_EQ(backward.flops, 2 * (2 * 3 * 4 * 5));
  EXPECT_EQ(backward.operands, 2 * 4 * (12 + 20 + 15));
}

TEST(OperationCount, OfWhatComputesLittleIsWhatItMoves) {
  const int64_t bytes = 4 * 6 * 8;
  const auto x = leaf({6, 8}), up = leaf({6, 8}), weight = leaf({8}), gradient = numbers({6, 8});
  at::Tensor y;
  expect_equal(count([&] { y = ops::rms_norm(x, weight, 1e-5); }), {0, 0, 2 * bytes});
  EXPECT_GE(count([&] { y.backward(gradient); }).moved, 3 * bytes) << "and sums of the weight's gradient";
  expect_equal(count([&] { y = ops::swiglu(x, up); }), {0, 0, 3 * bytes});
  expect_equal(count([&] { y.backward(gradient); }), {0, 0, 5 * bytes});
  expect_equal(count([&] { y = ops::dropout(x, 0.5, {.seed = 1, .step = 0, .first_sample = 0, .site = 1}); }), {0, 0, 2 * bytes});
  expect_equal(count([&] { y.backward(gradient); }), {0, 0, 2 * bytes});
}

// The head works chunk by chunk; without data on the first alone.
TEST(OperationCount, OfTheHeadIsTheSameWithDataAndWithout) {
  constexpr int64_t kRows = 70, kWidth = 8, kVocabulary = ops::kChunkLogits / 32;  // 32, 32 and 6 rows
  const auto of = [&](const at::Device& device) {
    const auto x = leaf({kRows, kWidth}, device), weight = leaf({kVocabulary, kWidth}, device);
    const auto targets = at::zeros({kRows}, at::TensorOptions().dtype(at::kLong).device(device));
    return count([&] { ops::linear_cross_entropy(x, weight, targets, 1).backward(); });
  };
  const auto with_data = of(at::kCPU);
  expect_equal(with_data, of(at::kMeta));
  EXPECT_EQ(with_data.flops, 3 * 2 * kRows * kWidth * kVocabulary);
  EXPECT_EQ(with_data.moved, 2 * 4 * kRows * kVocabulary);
  const int64_t weights = 4 * kWidth * kVocabulary, logits = 4 * kRows * kVocabulary, rows = 4 * kRows * kWidth;
  EXPECT_EQ(with_data.operands, 3 * (logits + rows) + 3 * weights + 3 * weights + (1 + 2 + 2) * weights) << "three chunks read the weight twice, and add to its gradient but for the first";
}

TEST(OperationCount, StaysTheMostWhereItDoesNotFit) {
  OperationCount counted{.flops = INT64_MAX - 1, .operands = 0, .moved = INT64_MAX};
  {
    const CountScope scope(counted);
    CountScope::product(2, 3);
    CountScope::moved(1);
  }
  CountScope::moved(1);  // nobody counts
  expect_equal(counted, {INT64_MAX, 3, INT64_MAX});
}

}  // namespace
}  // namespace zerorun
