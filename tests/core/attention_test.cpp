// Attention in every dtype and width against its formula, and its memory on cpu against meta.
#include "core/ops/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "core/gpu/shape.h"
#include "core/ops/kernels/gpu_attention.h"
#include "tests/core/expect_same.h"

namespace zerorun::testing {
namespace {

class Attention : public ::testing::Test {
 protected:
  Attention() { at::manual_seed(4); }
};

Tensor plain_attention(const Tensor& query, const Tensor& key, const Tensor& value, int64_t head_dim) {
  const int64_t rows = query.size(1), shared = query.size(2) / key.size(2);
  const auto heads = [&](const Tensor& part) { return part.view({part.size(0), rows, -1, head_dim}).transpose(1, 2); };
  const auto k = heads(key).repeat_interleave(shared, 1), v = heads(value).repeat_interleave(shared, 1);
  auto scores = at::matmul(heads(query), k.transpose(-1, -2)) / std::sqrt(static_cast<double>(head_dim));
  scores = scores.masked_fill(at::ones({rows, rows}, at::kBool).triu(1), -INFINITY).softmax(-1);
  return at::matmul(scores, v).transpose(1, 2).reshape(query.sizes());
}

Tensor plain_packed(const Tensor& qkv, int64_t heads) {
  const auto parts = qkv.chunk(3, -1);
  return plain_attention(parts[0].contiguous(), parts[1].contiguous(), parts[2].contiguous(), parts[0].size(2) / heads);
}

TEST_F(Attention, InLowPrecisionIsSoftmaxOverThePast) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    for (const int64_t rows : {1, 31, 64, 65, 200}) {
      for (const int64_t head_dim : {8, 24, 80}) {
        expect_same_in(dtype, {at::randn({2, rows, 9 * head_dim})}, [](const Tensors& t) { return ops::causal_attention(t[0], 3); },
                       [](const Tensors& t) { return plain_packed(t[0], 3); }, 2);
        if (rows == 1) continue;  // the gradient of a query is nothing but rounding
        expect_same_in(dtype, {at::randn({2, rows, 6 * head_dim}), at::randn({2, rows, 2 * head_dim}), at::randn({2, rows, 2 * head_dim})},
                       [&](const Tensors& t) { return ops::causal_attention(t[0], t[1], t[2], head_dim); },
                       [&](const Tensors& t) { return plain_attention(t[0], t[1], t[2], head_dim); }, 2);
      }
    }
  }
}

TEST_F(Attention, OfWideHeadsIsSoftmaxOverThePast) {
  for (const int64_t head_dim : {257, 320, 1024}) {
    for (const int64_t rows : {1, 31, 130, 200}) {
      expect_same({at::randn({2, rows, 6 * head_dim})}, [](const Tensors& t) { return ops::causal_attention(t[0], 2); },
                  [](const Tensors& t) { return plain_packed(t[0], 2); });
      if (rows == 1) continue;
      expect_same({at::randn({1, rows, 4 * head_dim}), at::randn({1, rows, 2 * head_dim}), at::randn({1, rows, 2 * head_dim})},
                  [&](const Tensors& t) { return ops::causal_attention(t[0], t[1], t[2], head_dim); },
                  [&](const Tensors& t) { return plain_attention(t[0], t[1], t[2], head_dim); });
    }
  }
}

TEST_F(Attention, InBlocksKeepsLargeScoresFinite) {
  const auto qkv = (at::randn({1, 150, 3 * 16}) * 30).to(at::kBFloat16);
  const auto out = ops::causal_attention(qkv, 1).to(at::kDouble), expected = plain_packed(qkv.to(at::kDouble), 1);
  EXPECT_LE((out - expected).abs().max().item<double>(), 0x1p-7 * expected.abs().max().item<double>());
}

TEST_F(Attention, InBlocksLetsNotANumberThrough) {
  auto qkv = at::randn({1, 150, 3 * 8}).to(at::kBFloat16);
  qkv[0][140][3] = NAN;
  const auto out = ops::causal_attention(qkv, 1);
  EXPECT_TRUE(out[0][140].isnan().all().item<bool>());
  EXPECT_FALSE(out[0].narrow(0, 0, 140).isnan().any().item<bool>());
}

// One head is one task of backward: its products run outside of any team, where LibTorch may share them out.
TEST_F(Attention, BitsInBlocksDoNotDependOnTheNumberOfThreads) {
  for (const auto& [heads, head_dim, dtype] : {std::tuple{3, 24, at::kBFloat16}, {1, 24, at::kBFloat16}, {1, 512, at::kFloat}}) {
    const auto qkv = at::randn({1, 200, 3 * heads * head_dim}).to(dtype), seed = at::randn({1, 200, heads * head_dim}).to(dtype);
    Tensors results[2];
    for (const int threads : {1, 2}) {
      set_compute_threads(threads);
      auto leaf = qkv.clone().requires_grad_();
      const auto out = ops::causal_attention(leaf, heads);
      torch::autograd::backward({out}, {seed});
      results[threads - 1] = {out, leaf.grad()};
    }
    set_compute_threads(1);
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << heads << " heads of " << head_dim;
  }
}

TEST_F(Attention, TakesOnMetaTheMemoryThatItTakesOnCpu) {
  const auto expect = [](int64_t rows, int64_t heads, int64_t head_dim, at::ScalarType dtype) {
    SCOPED_TRACE(::testing::Message() << rows << " rows, " << heads << " heads of " << head_dim);
    expect_same_memory({{2, rows, 3 * heads * head_dim}}, [&](const Tensors& t) { return ops::causal_attention(t[0], heads); }, 1, dtype);
    expect_same_memory({{1, rows, 2 * heads * head_dim}, {1, rows, heads * head_dim}, {1, rows, heads * head_dim}},
                       [&](const Tensors& t) { return ops::causal_attention(t[0], t[1], t[2], head_dim); }, 3, dtype);
  };
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int64_t rows : {1, 31, 200, 800}) {
      for (const int64_t heads : {1, 3}) expect(rows, heads, 8, dtype);
    }
    for (const int64_t head_dim : {24, 64, 80, 128, 256, 257, 1024}) expect(200, 2, head_dim, dtype);
  }
}

// What a GPU takes for wide heads and for fp32.
TEST_F(Attention, InBlocksOfProductsIsThatInTiles) {
  constexpr int64_t kHeads = 6, kKeyHeads = 2, kRows = 53, kWidth = 20;
  const auto of = [](const Tensor& x) { return x.view({2, kRows, -1, kWidth}).transpose(1, 2); };
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto random = [dtype](int64_t heads) { return at::randn({2, kRows, heads * kWidth}).to(dtype); };
    const auto q = random(kHeads), k = random(kKeyHeads), v = random(kKeyHeads), gradient = random(kHeads);
    const ops::Heads heads{of(q), of(k), of(v)};
    for (const int64_t scores : {int64_t{1}, ops::kScoresAtATime}) {  // four blocks of rows, and one
      const auto expect_close = [dtype](const Tensor& ours, const Tensor& theirs) {
        const double unit = dtype == at::kFloat ? 1e-5 : 0x1p-7;
        EXPECT_LE((ours.to(at::kDouble) - theirs.to(at::kDouble)).abs().max().item<double>(), unit * theirs.abs().max().item<double>());
      };
      const auto [out, log_sum_exp] = ops::attention_in_blocks(heads, scores);
      const auto [expected, expected_log_sum_exp] = ops::blocked_attention(heads);
      expect_close(out, expected);
      EXPECT_LE((log_sum_exp - expected_log_sum_exp).abs().max().item<double>(), 1e-5);
      const auto dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v), eq = at::empty_like(q), ek = at::empty_like(k), ev = at::empty_like(v);
      ops::attention_in_blocks_backward(of(gradient), heads, out, log_sum_exp, {of(dq), of(dk), of(dv)}, scores);
      ops::blocked_attention_backward(of(gradient), heads, expected, expected_log_sum_exp, {of(eq), of(ek), of(ev)});
      expect_close(dq, eq);
      expect_close(dk, ek);
      expect_close(dv, ev);
    }
  }
}

// 12 heads of 64 over 1024 rows make 192 tasks of 64 rows, and an H100 takes 264 at a time: LibTorch cuts the keys into 4 parts.
TEST_F(Attention, OfAGpuIsForetoldWithTheScratchOfFlashAttention) {
  constexpr int64_t kHeads = 12, kRows = 1024, kWidth = 64, kElements = kHeads * kRows * kWidth;
  MemoryLedger ledger(Side::gpu);
  const MemoryScope scope(ledger, Category::activations);
  const auto empty = [](int64_t heads) { return at::empty({1, heads, kRows, kWidth}, at::TensorOptions().dtype(at::kBFloat16).device(at::kMeta)); };
  const auto q = empty(kHeads), k = empty(kHeads / 4), v = empty(kHeads / 4), gradient = empty(kHeads);
  const auto taken_by = [&](const auto& compute) {
    ledger.reset_peaks();
    const auto before = ledger.usage();
    compute();
    return ledger.usage().total_peak - before.total_now;
  };
  const int64_t results = kElements * 2 + kHeads * kRows * 4, parts = 4 * (kElements * 4 + kHeads * kRows * 4);
  EXPECT_EQ(taken_by([&] { ops::blocked_attention({q, k, v}); }), results + parts + 16 + 8);
  {
    const gpu::Foretell smaller({.multiprocessors = 16});
    EXPECT_EQ(taken_by([&] { ops::blocked_attention({q, k, v}); }), results + 16 + 8) << "enough tasks for a smaller GPU";
  }
  const auto backward = [&] { ops::blocked_attention_backward(gradient, {q, k, v}, q, q, {q, k, v}); };
  const int64_t of_keys = kElements / 4 * 2, others = 16 + kElements * 2 + 2 * of_keys + kHeads * kRows * 4 + 2 * kElements * 2;
  EXPECT_EQ(taken_by(backward), others + kElements * 4);
  const gpu::Foretell ordered({.multiprocessors = 132, .deterministic = true});
  EXPECT_EQ(taken_by(backward), others + 11 * kElements * 4) << "a part for each block of 12 multiprocessors";
}

}  // namespace
}  // namespace zerorun::testing
