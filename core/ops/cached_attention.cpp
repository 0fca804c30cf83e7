#include "core/ops/cached_attention.h"

#include <ATen/ops/bmm.h>

#include <cmath>
#include <limits>

#include "core/gpu/gpu.h"
#include "core/ops/kernels/attention_rows.h"
#include "core/ops/kernels/head_rows.h"
#include "core/ops/kernels/softmax_rows.h"
#include "core/ops/side.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kKeyRows = 128;

// [B, S, K D] -> [B, K, S, D], a view.
at::Tensor by_head(const at::Tensor& x, int64_t head_dim) {
  return x.as_strided({x.size(0), x.size(2) / head_dim, x.size(1), head_dim}, {x.stride(0), head_dim, x.stride(1), 1});
}

// The heads of a group are the rows.
void attend_group(const HeadRows& query, const HeadRows& keys, const HeadRows& values, const HeadRows& out, int64_t group, int64_t positions,
                  int64_t width, Parts parts) {
  const int64_t tile_rows = std::min(kKeyRows, positions);
  float *q = parts.take(group * width), *sums = parts.take(group * width), *k = parts.take(tile_rows * width), *v = parts.take(tile_rows * width),
        *scores = parts.take(group * tile_rows), *maximum = parts.take(group), *total = parts.take(group);
  query.load(0, group, q);
  scale_row(q, group * width, static_cast<float>(1 / std::sqrt(static_cast<double>(width))));
  std::fill_n(sums, group * width, 0.0f);
  std::fill_n(maximum, group, -std::numeric_limits<float>::infinity());
  std::fill_n(total, group, 0.0f);
  for (int64_t begin = 0; begin < positions; begin += tile_rows) {
    const int64_t count = std::min(tile_rows, positions - begin);
    keys.load(begin, count, k);
    values.load(begin, count, v);
    for (int64_t r = 0; r < group; ++r) products_with_rows(q + r * width, k, count, width, scores + r * count);
    continue_softmax({scores, group, count, count}, maximum, total, sums, width);
    for (int64_t r = 0; r < group; ++r) add_weighted_rows(scores + r * count, v, count, width, sums + r * width);
  }
  for (int64_t r = 0; r < group; ++r) scale_row(sums + r * width, width, 1 / total[r]);
  out.store(0, group, sums);
}

// On a GPU: products of matrices in fp32, sample by sample.
at::Tensor attend_by_products(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values, int64_t head_dim) {
  const int64_t samples = query.size(0), heads = query.size(2) / head_dim, key_heads = keys.size(2) / head_dim, positions = keys.size(1), group = heads / key_heads;
  const auto out = at::empty(query.sizes(), query.options());
  const auto fp32 = [&](int64_t rows, int64_t columns) {
    const MemoryScope workspace(Category::workspace);
    return at::empty({key_heads, rows, columns}, query.options().dtype(at::kFloat));
  };
  auto q = fp32(group, head_dim), k = fp32(positions, head_dim), v = fp32(positions, head_dim), scores = fp32(group, positions), sums = fp32(group, head_dim);
  const auto log_sum_exp = fp32(group, 1);
  if (out.is_meta()) return out;
  const CausalRows all{key_heads, group, positions, positions, static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim))), scores.data_ptr<float>(),
                       log_sum_exp.data_ptr<float>(), group, /*known=*/false};
  for (int64_t s = 0; s < samples; ++s) {
    q.copy_(query[s].view(q.sizes()));
    k.copy_(by_head(keys, head_dim)[s]);
    v.copy_(by_head(values, head_dim)[s]);
    at::bmm_out(scores, q, k.transpose(1, 2));
    causal_softmax_rows(all, gpu::current_stream());
    at::bmm_out(sums, scores, v);
    out[s].view(sums.sizes()).copy_(sums);
  }
  return out;
}

}  // namespace

at::Tensor attend_to_cache(const at::Tensor& query, const at::Tensor& keys, const at::Tensor& values, int64_t head_dim) {
  const int64_t samples = query.size(0), heads = query.size(2) / head_dim, key_heads = keys.size(2) / head_dim, positions = keys.size(1);
  if (side_of(query) == Side::gpu) return attend_by_products(query, keys, values, head_dim);
  const int64_t group = heads / key_heads, tile_rows = std::min(kKeyRows, positions), tasks = samples * key_heads;
  const auto out = at::empty(query.sizes(), query.options());
  const auto scratch = scratch_of(tasks, 2 * (group + tile_rows) * head_dim + group * (tile_rows + 2), out);
  // [B, K, G, D]: a group's heads lie side by side.
  const auto q = query.contiguous().view({samples, key_heads, group, head_dim}), o = out.view(q.sizes());
  if (out.is_meta()) return out;
  const auto k = by_head(keys, head_dim), v = by_head(values, head_dim);
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t sample = task / key_heads, head = task % key_heads;
      attend_group({q, sample, head}, {k, sample, head}, {v, sample, head}, {o, sample, head}, group, positions, head_dim, parts_of(scratch));
    }
  });
  return out;
}

}  // namespace zerorun::ops
