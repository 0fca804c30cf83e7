// Attention as products of matrices and a softmax between them, one block of queries after the other.
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <cmath>

#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "core/ops/kernels/gpu_attention.h"
#include "core/ops/kernels/softmax_rows.h"

namespace zerorun::ops {
namespace {

using at::Tensor;

constexpr int64_t kLeastRows = 16;

struct Sizes {
  int64_t samples, key_heads, group, rows, width, block;
  float scale;

  Sizes(const Heads& h, int64_t scores)
      : samples(h.query.size(0)), key_heads(h.key.size(1)), group(h.query.size(1) / h.key.size(1)), rows(h.query.size(2)), width(h.query.size(3)),
        block(std::min(rows, std::max(kLeastRows, scores / (group * rows)))), scale(static_cast<float>(1 / std::sqrt(static_cast<double>(width)))) {}
};

Tensor scratch(std::vector<int64_t> shape, const Tensor& like) {
  const MemoryScope workspace(Category::workspace);
  return at::empty(shape, like.options().dtype(at::kFloat));
}

// Of one sample and key-value head, fp32: the group's query rows [G, T, D], or the keys' [T, D].
void load(const Tensor& heads, int64_t sample, int64_t key_head, Tensor& to) {
  if (to.dim() == 2) {
    to.copy_(heads[sample][key_head]);
  } else {
    to.copy_(heads[sample].narrow(0, key_head * to.size(0), to.size(0)));
  }
}

void store(const Tensor& from, int64_t sample, int64_t key_head, const Tensor& heads) {
  if (from.dim() == 2) {
    heads[sample][key_head].copy_(from);
  } else {
    heads[sample].narrow(0, key_head * from.size(0), from.size(0)).copy_(from);
  }
}

// The first `count` floats, as [groups, rows, columns].
Tensor shaped(const Tensor& flat, int64_t groups, int64_t rows, int64_t columns) { return flat.narrow(0, 0, groups * rows * columns).view({groups, rows, columns}); }

void multiply_batches(const Tensor& out, const Tensor& a, const Tensor& b) {
  auto to = out;
  at::bmm_out(to, a, b);
}

// Softmax over the scores of queries first to first + R, of this head group; or its values again, where log_sum_exp [G, T] is known.
void softmax(const Sizes& sizes, const Tensor& scores, int64_t first, const Tensor& log_sum_exp, bool known) {
  const CausalRows rows{scores.size(0), scores.size(1), scores.size(2), first, sizes.scale, scores.data_ptr<float>(), log_sum_exp.data_ptr<float>() + first, sizes.rows, known};
  scores.is_cuda() ? causal_softmax_rows(rows, gpu::current_stream()) : causal_softmax_rows(rows);
}

}  // namespace

std::pair<Tensor, Tensor> attention_in_blocks(const Heads& heads, int64_t scores_at_a_time) {
  const Sizes n(heads, scores_at_a_time);
  const auto out = at::empty({n.samples, n.rows, n.key_heads * n.group, n.width}, heads.query.options()).transpose(1, 2);
  const auto log_sum_exp = at::empty({n.samples, n.key_heads * n.group, n.rows}, heads.query.options().dtype(at::kFloat));
  auto q = scratch({n.group, n.rows, n.width}, out), k = scratch({n.rows, n.width}, out), v = scratch({n.rows, n.width}, out), mixed = scratch({n.group, n.rows, n.width}, out);
  const auto flat = scratch({n.group * n.block * n.rows}, out), part = scratch({n.group * n.block * n.width}, out);
  if (out.is_meta()) return {out, log_sum_exp};
  for (int64_t s = 0; s < n.samples; ++s) {
    for (int64_t h = 0; h < n.key_heads; ++h) {
      load(heads.query, s, h, q);
      load(heads.key, s, h, k);
      load(heads.value, s, h, v);
      for (int64_t first = 0; first < n.rows; first += n.block) {
        const int64_t count = std::min(n.block, n.rows - first), keys = first + count;
        const auto scores = shaped(flat, n.group, count, keys), sums = shaped(part, n.group, count, n.width);
        multiply_batches(scores, q.narrow(1, first, count), k.narrow(0, 0, keys).t().expand({n.group, n.width, keys}));
        softmax(n, scores, first, log_sum_exp[s].narrow(0, h * n.group, n.group), /*known=*/false);
        multiply_batches(sums, scores, v.narrow(0, 0, keys).expand({n.group, keys, n.width}));
        mixed.narrow(1, first, count).copy_(sums);
      }
      store(mixed, s, h, out);
    }
  }
  return {out, log_sum_exp};
}

void attention_in_blocks_backward(const Tensor& gradient, const Heads& heads, const Tensor& out, const Tensor& log_sum_exp, const Heads& to,
                                  int64_t scores_at_a_time) {
  const Sizes n(heads, scores_at_a_time);
  const std::vector<int64_t> of_queries{n.group, n.rows, n.width}, of_keys{n.rows, n.width};
  auto q = scratch(of_queries, out), dq = scratch(of_queries, out), g = scratch(of_queries, out), o = scratch(of_queries, out), part = scratch(of_queries, out);
  auto k = scratch(of_keys, out), v = scratch(of_keys, out), dk = scratch(of_keys, out), dv = scratch(of_keys, out);
  auto delta = scratch({n.group, n.rows}, out);
  const auto probabilities = scratch({n.group * n.block * n.rows}, out), slopes = scratch({n.group * n.block * n.rows}, out);
  if (out.is_meta()) return;
  for (int64_t s = 0; s < n.samples; ++s) {
    for (int64_t h = 0; h < n.key_heads; ++h) {
      load(heads.query, s, h, q);
      load(gradient, s, h, g);
      load(out, s, h, o);
      load(heads.key, s, h, k);
      load(heads.value, s, h, v);
      at::sum_out(delta, o.mul_(g), {2});
      dk.zero_();
      dv.zero_();
      for (int64_t first = 0; first < n.rows; first += n.block) {
        const int64_t count = std::min(n.block, n.rows - first), keys = first + count;
        const auto p = shaped(probabilities, n.group, count, keys), dp = shaped(slopes, n.group, count, keys);
        const auto rows = [&](const Tensor& x) { return x.narrow(1, first, count); };
        multiply_batches(p, rows(q), k.narrow(0, 0, keys).t().expand({n.group, n.width, keys}));
        softmax(n, p, first, log_sum_exp[s].narrow(0, h * n.group, n.group), /*known=*/true);
        multiply_batches(dp, rows(g), v.narrow(0, 0, keys).t().expand({n.group, n.width, keys}));
        for (int64_t head = 0; head < n.group; ++head) dv.narrow(0, 0, keys).addmm_(p[head].t(), rows(g)[head]);
        const CausalGradientRows slope{n.group, count, keys, n.scale, p.data_ptr<float>(), delta.data_ptr<float>() + first, n.rows, dp.data_ptr<float>()};
        dp.is_cuda() ? causal_softmax_gradient_rows(slope, gpu::current_stream()) : causal_softmax_gradient_rows(slope);
        for (int64_t head = 0; head < n.group; ++head) dk.narrow(0, 0, keys).addmm_(dp[head].t(), rows(q)[head]);
        const auto sums = shaped(part.view({-1}), n.group, count, n.width);
        multiply_batches(sums, dp, k.narrow(0, 0, keys).expand({n.group, keys, n.width}));
        rows(dq).copy_(sums);
      }
      store(dq, s, h, to.query);
      store(dk, s, h, to.key);
      store(dv, s, h, to.value);
    }
  }
}

}  // namespace zerorun::ops
