// LLaMA's ops against plain LibTorch.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/ops/attention.h"
#include "core/ops/embedding.h"
#include "core/ops/linear.h"
#include "core/ops/rms_norm.h"
#include "core/ops/rotary.h"
#include "core/ops/swiglu.h"
#include "tests/core/expect_same.h"

namespace zerorun::testing {
namespace {

class LlamaOps : public ::testing::Test {
 protected:
  LlamaOps() { at::manual_seed(2); }
};

Tensor plain_rms_norm(const Tensor& x, const Tensor& weight) { return x * at::rsqrt(x.square().mean(-1, true) + 1e-5) * weight; }

TEST_F(LlamaOps, RmsNormIsItsFormula) {
  for (const int64_t width : {1, 7, 64, 300}) {
    expect_same({at::randn({3, 5, width}), at::randn({width})}, [](const Tensors& t) { return ops::rms_norm(t[0], t[1], 1e-5); },
                [](const Tensors& t) { return plain_rms_norm(t[0], t[1]); });
  }
}

TEST_F(LlamaOps, AForkedStreamGetsBothGradients) {
  expect_same({at::randn({2, 9, 33}), at::randn({33})},
              [](const Tensors& t) {
                const auto [stream, normed] = ops::fork_rms_norm(t[0], t[1], 1e-5);
                return normed * 3 + stream;
              },
              [](const Tensors& t) { return plain_rms_norm(t[0], t[1]) * 3 + t[0]; });
}

TEST_F(LlamaOps, LinearsAreTheSameXTimesEachWeight) {
  expect_same({at::randn({2, 7, 12}), at::randn({5, 12}), at::randn({8, 12}), at::randn({1, 12})},
              [](const Tensors& t) { return at::cat(ops::linears(t[0], {t[1], t[2], t[3]}), -1); },
              [](const Tensors& t) { return at::cat({at::linear(t[0], t[1]), at::linear(t[0], t[2]), at::linear(t[0], t[3])}, -1); });
}

TEST_F(LlamaOps, RotaryTurnsEachPairByItsPosition) {
  constexpr int64_t kHeadDim = 6, kRows = 21;
  expect_same({at::randn({2, kRows, 3 * kHeadDim})}, [](const Tensors& t) { return ops::rotary(t[0], kHeadDim, 100.0); },
              [](const Tensors& t) {
                const auto x = t[0].view({2, kRows, 3, 2, kHeadDim / 2});
                const auto frequency = at::pow(100.0, at::arange(0, kHeadDim, 2, at::kDouble) / -static_cast<double>(kHeadDim));
                const auto angle = at::outer(at::arange(kRows, at::kDouble), frequency).view({1, kRows, 1, kHeadDim / 2});
                const auto cosine = angle.cos().to(at::kFloat), sine = angle.sin().to(at::kFloat);
                const auto a = x.select(3, 0), b = x.select(3, 1);
                return at::stack({a * cosine - b * sine, b * cosine + a * sine}, 3).view({2, kRows, 3 * kHeadDim});
              });
}

TEST_F(LlamaOps, SwigluIsSiluTimesUp) {
  expect_same({at::randn({3, 5, 70}) * 5, at::randn({3, 5, 70})}, [](const Tensors& t) { return ops::swiglu(t[0], t[1]); },
              [](const Tensors& t) { return at::silu(t[0]) * t[1]; });
}

TEST_F(LlamaOps, GroupedHeadsReadTheirKeysAndValues) {
  constexpr int64_t kHeadDim = 8;
  for (const int64_t rows : {1, 33, 200}) {
    for (const int64_t shared : {1, 3}) {
      expect_same({at::randn({2, rows, 2 * shared * kHeadDim}), at::randn({2, rows, 2 * kHeadDim}), at::randn({2, rows, 2 * kHeadDim})},
                  [](const Tensors& t) { return ops::causal_attention(t[0], t[1], t[2], kHeadDim); },
                  [&](const Tensors& t) {
                    const auto heads = [&](const Tensor& part) { return part.view({2, rows, -1, kHeadDim}).transpose(1, 2); };
                    const auto k = heads(t[1]).repeat_interleave(shared, 1), v = heads(t[2]).repeat_interleave(shared, 1);
                    auto scores = at::matmul(heads(t[0]), k.transpose(-1, -2)) / std::sqrt(double{kHeadDim});
                    scores = scores.masked_fill(at::ones({rows, rows}, at::kBool).triu(1), -INFINITY).softmax(-1);
                    return at::matmul(scores, v).transpose(1, 2).reshape({2, rows, -1});
                  });
    }
  }
}

TEST_F(LlamaOps, EmbedWithoutPositionsIsTheRowOfTheToken) {
  const auto tokens = at::randint(0, 11, {3, 5}, at::kLong);
  expect_same({at::randn({11, 70})}, [&](const Tensors& t) { return ops::embed(tokens, t[0]); },
              [&](const Tensors& t) { return at::embedding(t[0], tokens); });
}

TEST_F(LlamaOps, MetaTakesTheMemoryThatCpuTakes) {
  expect_same_memory({{3, 70, 100}, {100}}, [](const Tensors& t) { return ops::rms_norm(t[0], t[1], 1e-5); });
  expect_same_memory({{2, 37, 48}, {13, 48}}, [](const Tensors& t) { return ops::linear(t[0], t[1]); });
  expect_same_memory({{2, 37, 48}}, [](const Tensors& t) { return ops::rotary(t[0], 12, 1e4); });
  expect_same_memory({{2, 37, 48}, {2, 37, 48}}, [](const Tensors& t) { return ops::swiglu(t[0], t[1]); }, 2);
  for (const int64_t rows : {1, 31, 200, 800}) {
    expect_same_memory({{2, rows, 4 * 24}, {2, rows, 2 * 24}, {2, rows, 2 * 24}},
                       [](const Tensors& t) { return ops::causal_attention(t[0], t[1], t[2], 24); }, 3);
  }
}

}  // namespace
}  // namespace zerorun::testing
