// Every op in bf16 and fp16: against plain LibTorch in fp64 on the same values, its bits over threads, and its memory on cpu against meta.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/ops/attention.h"
#include "core/ops/embedding.h"
#include "core/ops/kernels/column_sums.h"
#include "core/ops/kernels/matrix_product.h"
#include "core/ops/kernels/number.h"
#include "core/ops/kernels/tile_packing.h"
#include "core/ops/layer_norm.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/rms_norm.h"
#include "core/ops/rotary.h"
#include "core/ops/swiglu.h"
#include "core/unit.h"
#include "tests/core/expect_same.h"

namespace zerorun::testing {
namespace {

class LowPrecision : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  LowPrecision() { at::manual_seed(3); }
  at::ScalarType dtype() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Dtypes, LowPrecision, ::testing::Values(at::kBFloat16, at::kHalf),
                         [](const auto& info) { return info.param == at::kHalf ? "Fp16" : "Bf16"; });

TEST_P(LowPrecision, NumbersAreWidenedExactlyAndRoundedToTheNearest) {
  const auto all = at::arange(1 << 16, at::kInt).to(at::kShort).view(dtype());
  std::vector<float> wide(1 << 16);
  ops::widen_row(dtype(), all.const_data_ptr(), wide.data(), 1 << 16);
  const auto expected = all.to(at::kFloat);
  const auto widened = at::from_blob(wide.data(), {1 << 16});
  EXPECT_TRUE(at::equal(widened.nan_to_num(7), expected.nan_to_num(7)));
  EXPECT_TRUE(at::equal(widened.isnan(), expected.isnan()));
  // Ties, what lies beside them, subnormal, overflowing and infinite numbers.
  const auto finite = expected.masked_select(expected.isfinite());
  const auto values = at::cat({finite, finite * (1 + 0x1p-9f), finite * (1 + 0x1p-12f), finite * 1.0009765f, finite + 0x1p-25f, finite * 2,
                               at::tensor({INFINITY, -INFINITY, 65519.0f, 65520.0f, 1e38f})}).contiguous();
  auto narrowed = at::empty_like(values, values.options().dtype(dtype()));
  ops::narrow_row(dtype(), values.const_data_ptr<float>(), narrowed.data_ptr(), values.numel());
  EXPECT_TRUE(at::equal(narrowed, values.to(dtype())));
  const float not_a_number = std::nanf("");
  at::Tensor one = at::zeros({1}, dtype());
  ops::narrow_row(dtype(), &not_a_number, one.data_ptr(), 1);
  EXPECT_TRUE(std::isnan(one.item<double>()));
}

TEST_P(LowPrecision, MatrixProductsAreRoundedOnce) {
  for (const auto& [n, k, m] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {5, 7, 13}, {74, 48, 65}, {37, 601, 129}, {300, 33, 600}}) {
    expect_same_in(dtype(), {at::randn({1, n, k}), at::randn({k, m}), at::randn({m})},
                   [](const Tensors& t) { return ops::conv1d(t[0], t[1], t[2]); },
                   [](const Tensors& t) { return at::matmul(t[0], t[1]) + t[2]; });
    expect_same_in(dtype(), {at::randn({n, k}), at::randn({m, k})}, [](const Tensors& t) { return ops::linear(t[0], t[1]); },
                   [](const Tensors& t) { return at::matmul(t[0], t[1].t()); });
  }
  expect_same_in(dtype(), {at::randn({2, 7, 12}), at::randn({5, 12}), at::randn({8, 12}), at::randn({1, 12})},
                 [](const Tensors& t) { return at::cat(ops::linears(t[0], {t[1], t[2], t[3]}), -1); },
                 [](const Tensors& t) { return at::cat({at::matmul(t[0], t[1].t()), at::matmul(t[0], t[2].t()), at::matmul(t[0], t[3].t())}, -1); },
                 3);  // the gradient of x is rounded after each weight
}

TEST(TilePacking, PutsZerosBesideAnOddRowOrColumn) {
  const auto values = at::randn({40, 70}).to(at::kBFloat16);
  const auto* data = static_cast<const char*>(values.const_data_ptr());
  for (const bool transposed : {false, true}) {
    const ops::PackedMatrix matrix{data, at::kBFloat16, transposed ? 1 : 70, transposed ? 70 : 1};
    const auto expected = transposed ? values.t() : values;
    auto copy = at::full({35, 50}, NAN).to(at::kBFloat16), pairs = at::full({2 * 18 * ops::kStrip}, NAN).to(at::kBFloat16);
    ops::copy_tile(matrix, 2, 1, 35, 33, copy.data_ptr<at::BFloat16>(), 50);
    EXPECT_TRUE(at::equal(copy.narrow(1, 0, 33), expected.narrow(0, 2, 35).narrow(1, 1, 33)));
    EXPECT_TRUE((copy.select(1, 33) == 0).all().item<bool>());
    ops::interleave_tile(matrix, 2, 1, 35, 37, pairs.data_ptr<at::BFloat16>());
    const auto rows = pairs.narrow(0, 0, 18 * ops::kStrip * 2).view({18, ops::kStrip, 2}).transpose(1, 2).reshape({36, ops::kStrip}).narrow(1, 0, 37);
    EXPECT_TRUE(at::equal(rows.narrow(0, 0, 35), expected.narrow(0, 2, 35).narrow(1, 1, 37)));
    EXPECT_TRUE((rows[35] == 0).all().item<bool>());
  }
}

TEST_P(LowPrecision, AProductAddsToWhatIsThere) {
  const auto a = at::randn({70, 90}).to(dtype()), b = at::randn({90, 130}).to(dtype()), before = at::randn({70, 130}).to(dtype());
  auto sum = before.clone();
  ops::add_product(sum, a, b);
  const auto expected = before.to(at::kDouble) + at::matmul(a.to(at::kDouble), b.to(at::kDouble));
  EXPECT_LE((sum.to(at::kDouble) - expected).abs().max().item<double>(), (dtype() == at::kHalf ? 0x1p-10 : 0x1p-7) * expected.abs().max().item<double>());
}

TEST_P(LowPrecision, NormsAreTheirFormulas) {
  const auto plain_rms = [](const Tensor& x, const Tensor& weight) { return x * at::rsqrt(x.square().mean(-1, true) + 1e-5) * weight; };
  for (const int64_t width : {1, 7, 64, 300, 1030}) {
    // At a width of 1 the gradient of x is nothing but rounding.
    if (width > 1) {
      expect_same_in(dtype(), {at::randn({3, 5, width}), at::randn({width}), at::randn({width})},
                     [](const Tensors& t) {
                       const auto [stream, normed] = ops::fork_layer_norm(t[0], t[1], t[2], 1e-5);
                       return normed + stream;
                     },
                     [&](const Tensors& t) { return at::layer_norm(t[0], {width}, t[1], t[2], 1e-5) + t[0]; }, 2);
    }
    expect_same_in(dtype(), {at::randn({3, 5, width}), at::randn({width})},
                   [](const Tensors& t) {
                     const auto [stream, normed] = ops::fork_rms_norm(t[0], t[1], 1e-5);
                     return normed + stream;
                   },
                   [&](const Tensors& t) { return plain_rms(t[0], t[1]) + t[0]; }, 2);
  }
}

TEST_P(LowPrecision, RotaryTurnsAndSwigluGates) {
  constexpr int64_t kHeadDim = 6, kRows = 21;
  expect_same_in(dtype(), {at::randn({2, kRows, 3 * kHeadDim})}, [](const Tensors& t) { return ops::rotary(t[0], kHeadDim, 100.0); },
                 [](const Tensors& t) {
                   const auto x = t[0].view({2, kRows, 3, 2, kHeadDim / 2});
                   const auto frequency = at::pow(100.0, at::arange(0, kHeadDim, 2, at::kDouble) / -static_cast<double>(kHeadDim));
                   const auto angle = at::outer(at::arange(kRows, at::kDouble), frequency).view({1, kRows, 1, kHeadDim / 2});
                   const auto a = x.select(3, 0), b = x.select(3, 1);
                   return at::stack({a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, 3).view({2, kRows, 3 * kHeadDim});
                 });
  expect_same_in(dtype(), {at::randn({3, 5, 70}) * 5, at::randn({3, 5, 70})}, [](const Tensors& t) { return ops::swiglu(t[0], t[1]); },
                 [](const Tensors& t) { return at::silu(t[0]) * t[1]; });
}

TEST_P(LowPrecision, EmbeddingGradientsOfManyRowsAreSummedBeforeTheyAreRounded) {
  const auto tokens = at::randint(0, 3, {40, 25}, at::kLong);
  expect_same_in(dtype(), {at::randn({3, 70}), at::randn({30, 70})}, [&](const Tensors& t) { return ops::embed(tokens, t[0], t[1]); },
                 [&](const Tensors& t) { return at::embedding(t[0], tokens) + t[1].narrow(0, 0, 25); });
  expect_same_in(dtype(), {at::randn({3, 70})}, [&](const Tensors& t) { return ops::embed(tokens, t[0]); },
                 [&](const Tensors& t) { return at::embedding(t[0], tokens); });
}

TEST_P(LowPrecision, LinearCrossEntropyIsTheLossOfRoundedLogits) {
  for (const int64_t vocabulary : {2, 77, 300'000}) {
    const auto targets = at::randint(0, vocabulary, {17}, at::kLong);
    targets[3] = kIgnoredTarget;
    const auto type = dtype();
    expect_same_in(type, {at::randn({17, 6}), at::randn({vocabulary, 6})},
                   [&](const Tensors& t) { return ops::linear_cross_entropy(t[0], t[1], targets, 1.0); },
                   [&](const Tensors& t) { return at::cross_entropy_loss(at::matmul(t[0], t[1].t()), targets, {}, at::Reduction::Sum); },
                   /*roundings=*/4);
  }
}

// Every row adds the same to the gradient of word 5; in fp32 there would be 160 chunks.
TEST(LowPrecisionHead, AWeightsGradientDoesNotStandStillWhereThereAreManyRows) {
  constexpr int64_t kWords = 1 << 15, kRows = 160 * (ops::kChunkLogits / kWords);
  auto weight = leaves({at::zeros({kWords, 1}, at::kBFloat16)}, true)[0];
  ops::linear_cross_entropy(at::full({kRows, 1}, 1.5, at::kBFloat16), weight, at::full({kRows}, 5, at::kLong), 1.0);
  const double expected = -1.5 * kRows;
  EXPECT_NEAR(weight.grad()[5].item<double>() / expected, 1, 0x1p-5);
}

TEST_P(LowPrecision, ALargeLossScaleDoesNotOverflowBeforeTheGradientDoes) {
  const auto targets = at::randint(0, 50, {8}, at::kLong);
  constexpr double kScale = 16384;
  auto scaled = leaves({(at::randn({8, 6}) * 0.1).to(dtype()), (at::randn({50, 6}) * 0.1).to(dtype())}, true);
  torch::autograd::backward({ops::linear_cross_entropy(scaled[0], scaled[1], targets, kScale)}, {at::full({}, kScale, at::kDouble)});
  auto exact = leaves({scaled[0].detach().to(at::kDouble), scaled[1].detach().to(at::kDouble)}, false);
  torch::autograd::backward({at::cross_entropy_loss(at::matmul(exact[0], exact[1].t()), targets, {}, at::Reduction::Sum)});
  for (int i : {0, 1}) {
    const auto mine = scaled[i].grad().to(at::kDouble) / kScale, theirs = exact[i].grad();
    EXPECT_LE((mine - theirs).abs().max().item<double>(), 0x1p-6 * theirs.abs().max().item<double>());
  }
}

TEST_P(LowPrecision, BitsDoNotDependOnTheNumberOfThreads) {
  const auto x = at::randn({300, 520}).to(dtype()), g = at::randn({300, 700}).to(dtype()), vector = at::randn({520}).to(dtype());
  Tensors results[2];
  for (const int threads : {1, 2}) {
    set_compute_threads(threads);
    auto product = at::zeros({520, 700}, dtype()), sums = at::zeros({700}, dtype());
    ops::add_product(product, x.t(), g);
    ops::add_column_sums(g, sums);
    auto leaf = leaves({x, vector, vector}, true);
    torch::autograd::backward({ops::layer_norm(leaf[0], leaf[1], leaf[2], 1e-5)}, {x});
    results[threads - 1] = {product, sums, leaf[0].grad(), leaf[1].grad(), leaf[2].grad()};
  }
  set_compute_threads(1);
  for (size_t i = 0; i < results[0].size(); ++i) EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << i;
}

TEST_P(LowPrecision, MetaTakesTheMemoryThatCpuTakes) {
  const auto type = dtype();
  const auto tokens = [](const Tensors& t, std::vector<int64_t> shape) {
    const auto options = at::TensorOptions().dtype(at::kLong).device(t[0].device());
    return t[0].is_meta() ? at::empty(shape, options) : at::zeros(shape, options);
  };
  for (const int64_t width : {13, 700}) {
    expect_same_memory({{2, 337, 48}, {48, width}, {width}}, [](const Tensors& t) { return ops::conv1d(t[0], t[1], t[2]); }, 1, type);
    expect_same_memory({{2, 337, 48}, {width, 48}}, [](const Tensors& t) { return ops::linear(t[0], t[1]); }, 1, type);
  }
  expect_same_memory({{3, 70, 100}, {100}, {100}}, [](const Tensors& t) {
    auto [stream, normed] = ops::fork_layer_norm(t[0], t[1], t[2], 1e-5);
    return normed.add_(stream);
  }, 1, type);
  expect_same_memory({{3, 70, 100}, {100}}, [](const Tensors& t) { return ops::rms_norm(t[0], t[1], 1e-5); }, 1, type);
  expect_same_memory({{2, 37, 48}}, [](const Tensors& t) { return ops::rotary(t[0], 12, 1e4); }, 1, type);
  expect_same_memory({{2, 37, 49}, {2, 37, 49}}, [](const Tensors& t) { return ops::swiglu(t[0], t[1]); }, 2, type);
  expect_same_memory({{2, 37, 49}}, [](const Tensors& t) { return at::gelu(t[0], "tanh"); }, 1, type);
  expect_same_memory({{11, 70}, {8, 70}}, [&](const Tensors& t) { return ops::embed(tokens(t, {3, 5}), t[0], t[1]); }, 0, type);
  for (const int64_t vocabulary : {7, 300'000}) {
    expect_same_memory({{19, 6}, {vocabulary, 6}},
                       [&](const Tensors& t) { return ops::linear_cross_entropy(t[0], t[1], tokens(t, {19}), 1.0); }, 1, type);
  }
}

}  // namespace
}  // namespace zerorun::testing
