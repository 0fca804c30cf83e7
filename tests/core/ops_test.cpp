// Each op against plain LibTorch autograd, with weights as the engine hands them in (leaves whose .grad is a slot) and as
// a plain loop has them; and its memory on cpu against meta.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/memory.h"
#include "core/ops/attention.h"
#include "core/ops/embedding.h"
#include "core/ops/gradient_in_forward.h"
#include "core/ops/kernels/softmax_rows.h"
#include "core/ops/layer_norm.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/threads.h"
#include "core/unit.h"
#include "tests/core/expect_same.h"

namespace zerorun::testing {
namespace {

class Ops : public ::testing::Test {
 protected:
  Ops() { at::manual_seed(1); }
};

TEST_F(Ops, Conv1dIsXTimesWeightPlusBias) {
  for (const auto& shape : {std::vector<int64_t>{1, 1, 1}, {2, 37, 48}, {3, 5, 7}}) {
    expect_same({at::randn(shape), at::randn({shape.back(), 13}), at::randn({13})},
                [](const Tensors& t) { return ops::conv1d(t[0], t[1], t[2]); },
                [](const Tensors& t) { return at::matmul(t[0], t[1]) + t[2]; });
  }
}

TEST_F(Ops, LayerNormIsLibTorchs) {
  expect_same({at::randn({2, 9, 33}), at::randn({33}), at::randn({33})},
              [](const Tensors& t) { return ops::layer_norm(t[0], t[1], t[2], 1e-5); },
              [](const Tensors& t) { return at::layer_norm(t[0], {33}, t[1], t[2], 1e-5); });
}

TEST_F(Ops, AForkedStreamGetsBothGradients) {
  expect_same({at::randn({2, 9, 33}), at::randn({33}), at::randn({33})},
              [](const Tensors& t) {
                const auto [stream, normed] = ops::fork_layer_norm(t[0], t[1], t[2], 1e-5);
                return normed * 3 + stream;
              },
              [](const Tensors& t) { return at::layer_norm(t[0], {33}, t[1], t[2], 1e-5) * 3 + t[0]; });
}

TEST(LinearCrossEntropy, AGpuTakesChunksOfOneSizeInWholeTiles) {
  const auto rows = [](int64_t count, int64_t vocabulary) { return ops::rows_of_chunk(count, vocabulary, at::kBFloat16, Side::gpu); };
  EXPECT_EQ(rows(65536, 50257), 5120) << "13 of at most 5341";
  EXPECT_EQ(rows(4096, 50257), 4096) << "all at once";
  EXPECT_EQ(rows(2090, 256000), 768) << "3 of at most 1048";
  EXPECT_EQ(rows(10, 1 << 27), 2) << "less than a tile";
  for (const int64_t vocabulary : {32000, 50257, 128256, 256000}) {
    for (int64_t count = 1; count < 70000; count += 997) {
      const int64_t least = (count + ops::kReducedChunks - 1) / ops::kReducedChunks;
      ASSERT_LE(rows(count, vocabulary), std::max(ops::kGpuChunkLogits / vocabulary, least)) << count << " rows, " << vocabulary;
    }
  }
  EXPECT_EQ(ops::rows_of_chunk(65536, 50257, at::kFloat, Side::host), 41);
}

TEST(Embedding, TheOrderOfTokensIsThatOfAStableSort) {
  const auto check = [](const std::vector<int64_t>& tokens) {
    std::vector<int64_t> order(tokens.size(), -1), wanted(tokens.size());
    std::iota(wanted.begin(), wanted.end(), 0);
    std::stable_sort(wanted.begin(), wanted.end(), [&](int64_t a, int64_t b) { return tokens[static_cast<size_t>(a)] < tokens[static_cast<size_t>(b)]; });
    ops::token_order(tokens.data(), std::ssize(tokens), order.data());
    EXPECT_EQ(order, wanted);
  };
  check({});
  check({5});
  check({3, 1, 3, 0, 1, 3});
  check({1 << 20, 7, 1 << 20, 2});         // few of a great vocabulary
  check({4, -1, 4, int64_t{1} << 40, -1});  // none of any
  std::vector<int64_t> many(1000);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<int64_t>(i * 7919 % 61);
  check(many);
}

TEST_F(Ops, EmbedAddsTokenAndPosition) {
  const auto tokens = at::randint(0, 11, {3, 5}, at::kLong);
  expect_same({at::randn({11, 70}), at::randn({8, 70})}, [&](const Tensors& t) { return ops::embed(tokens, t[0], t[1]); },
              [&](const Tensors& t) { return at::embedding(t[0], tokens) + t[1].narrow(0, 0, 5); });
}

TEST_F(Ops, ATokenOutsideTheVocabularyIsAnError) {
  for (const int64_t token : {-1, 11, 1 << 20}) {
    const auto tokens = at::full({1, 2}, token, at::kLong);
    try {
      ops::embed(tokens, at::randn({11, 4}), at::randn({8, 4}));
      FAIL() << token;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_data);
    }
  }
}

TEST_F(Ops, TokensThatAreNoContiguousBlockAreRefused) {
  EXPECT_THROW(ops::embed(at::zeros({3, 5}, at::kLong).narrow(1, 0, 2), at::randn({11, 4})), Error);
}

TEST_F(Ops, CausalAttentionIsSoftmaxOverThePast) {
  for (const int64_t rows : {1, 5, 33, 200}) {
    for (const int64_t heads : {1, 3}) {
      constexpr int64_t kHeadDim = 8;
      const int64_t width = heads * kHeadDim;
      expect_same({at::randn({2, rows, 3 * width})}, [&](const Tensors& t) { return ops::causal_attention(t[0], heads); },
                  [&](const Tensors& t) {
                    const auto parts = t[0].split(width, -1);
                    const auto shape = [&](const Tensor& part) { return part.view({2, rows, heads, kHeadDim}).transpose(1, 2); };
                    auto scores = at::matmul(shape(parts[0]), shape(parts[1]).transpose(-1, -2)) / std::sqrt(double{kHeadDim});
                    scores = scores.masked_fill(at::ones({rows, rows}, at::kBool).triu(1), -INFINITY).softmax(-1);
                    return at::matmul(scores, shape(parts[2])).transpose(1, 2).reshape({2, rows, width});
                  });
    }
  }
}

TEST_F(Ops, LinearCrossEntropyIsTheSumOfTheTokenLosses) {
  // 300,000 words: several chunks, the last of them shorter.
  for (const int64_t vocabulary : {1, 2, 77, 300'000}) {
    const int64_t rows = 17;
    const auto targets = at::randint(0, vocabulary, {rows}, at::kLong);
    targets[3] = kIgnoredTarget;
    expect_same({at::randn({rows, 6}), at::randn({vocabulary, 6})},
                [&](const Tensors& t) { return ops::linear_cross_entropy(t[0], t[1], targets, 1.0); },
                [&](const Tensors& t) {
                  const auto logits = at::matmul(t[0].to(at::kDouble), t[1].to(at::kDouble).t());
                  return at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum);
                });
  }
}

TEST_F(Ops, LinearCrossEntropyScalesTheGradientByTheSeed) {
  const auto targets = at::randint(0, 5, {4}, at::kLong);
  auto one = leaves({at::randn({4, 3}), at::randn({5, 3})}, true);
  auto half = leaves({one[0].detach(), one[1].detach()}, true);
  const auto run = [&](Tensors& t, double seed) {
    torch::autograd::backward({ops::linear_cross_entropy(t[0], t[1], targets, seed)}, {at::full({}, seed, at::kDouble)});
  };
  run(one, 1.0);
  run(half, 0.5);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::allclose(one[i].grad() * 0.5, half[i].grad(), 1e-6, 1e-7));
}

TEST_F(Ops, ANotANumberAmongTheLogitsReachesTheLoss) {
  for (const float bad : {std::nanf(""), INFINITY}) {
    for (const int64_t place : {0, 3, 40}) {
      std::vector<float> logits(41, 0.5f);
      logits[place] = bad;
      EXPECT_TRUE(std::isnan(ops::softmax_cross_entropy_row(logits.data(), 41, 7, 1.0f))) << bad << " at " << place;
    }
  }
}

TEST_F(Ops, SoftmaxRowsKeepTheirAccuracyFarFromZero) {
  for (const float offset : {-1e4f, -30.0f, 0.0f, 88.0f, 1e4f}) {
    std::vector<float> logits{offset, offset + 1, offset - 200, offset + 3};
    const double expected = std::log(std::exp(0.0) + std::exp(1.0) + std::exp(3.0)) - 1;
    EXPECT_NEAR(ops::softmax_cross_entropy_row(logits.data(), 4, 1, 0), expected, 1e-6);
  }
}

TEST_F(Ops, AGradientTakenInForwardIsTheGradientTakenInBackward) {
  expect_same({at::randn({4, 3}), at::randn({3})},
              [](const Tensors& t) {
                return ops::gradient_in_forward(t[0], 1.0, [&](const Tensor& x) { return (x * t[1]).tanh().sum(); });
              },
              [](const Tensors& t) { return (t[0] * t[1]).tanh().sum(); });
}

TEST_F(Ops, MetaTakesTheMemoryThatCpuTakes) {
  expect_same_memory({{2, 37, 48}, {48, 13}, {13}}, [](const Tensors& t) { return ops::conv1d(t[0], t[1], t[2]); });
  expect_same_memory({{3, 70, 100}, {100}, {100}}, [](const Tensors& t) { return ops::layer_norm(t[0], t[1], t[2], 1e-5); });
  expect_same_memory({{3, 70, 100}, {100}, {100}}, [](const Tensors& t) {
    auto [stream, normed] = ops::fork_layer_norm(t[0], t[1], t[2], 1e-5);
    return normed.add_(stream);
  });
  expect_same_memory({{11, 70}, {8, 70}}, [](const Tensors& t) {
    const auto options = at::TensorOptions().dtype(at::kLong).device(t[0].device());
    return ops::embed(t[0].is_meta() ? at::empty({3, 5}, options) : at::zeros({3, 5}, options), t[0], t[1]);
  }, /*inputs=*/0);
  for (const int64_t rows : {1, 31, 200, 800}) {
    expect_same_memory({{2, rows, 3 * 24}}, [](const Tensors& t) { return ops::causal_attention(t[0], 3); });
  }
  for (const int64_t vocabulary : {7, 300'000}) {
    expect_same_memory({{19, 6}, {vocabulary, 6}}, [](const Tensors& t) {
      const auto targets = t[0].is_meta() ? at::empty({19}, at::TensorOptions().dtype(at::kLong).device(at::kMeta))
                                          : at::zeros({19}, at::kLong);
      return ops::linear_cross_entropy(t[0], t[1], targets, 1.0);
    });
  }
}

}  // namespace
}  // namespace zerorun::testing
