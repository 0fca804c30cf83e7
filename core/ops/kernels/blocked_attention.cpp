#include "core/ops/kernels/blocked_attention.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/operation_count.h"
#include "core/ops/kernels/attention_rows.h"
#include "core/ops/kernels/gpu_attention.h"
#include "core/ops/kernels/head_rows.h"
#include "core/ops/side.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kQueryRows = 64, kKeyRows = 128;
static_assert(kKeyRows % kQueryRows == 0, "a query sees at least one key of every block that its block sees");

// c = a b, or c += a b; all without gaps between rows.
void multiply_tiles(int64_t rows, int64_t columns, int64_t depth, const float* a, const float* b, float* c, bool add = false) {
  at::native::cpublas::brgemm(rows, columns, depth, depth, columns, columns, add, a, b, c);
}

struct Shape {
  int64_t samples, heads, key_heads, rows, width, query_rows, key_rows, query_blocks;
  float scale;

  explicit Shape(const Heads& h)
      : samples(h.query.size(0)), heads(h.query.size(1)), key_heads(h.key.size(1)), rows(h.query.size(2)), width(h.query.size(3)),
        query_rows(std::min(kQueryRows, rows)), key_rows(std::min(kKeyRows, rows)), query_blocks((rows + query_rows - 1) / query_rows),
        scale(static_cast<float>(1 / std::sqrt(static_cast<double>(width)))) {}

  // Each query with the keys up to its own.
  int64_t flops_of_a_product() const { return samples * heads * rows * (rows + 1) * width; }
  int64_t forward_floats() const { return query_rows * key_rows + 2 * (query_rows + key_rows) * width + 2 * query_rows; }
  int64_t backward_floats() const { return 4 * query_rows * key_rows + 3 * (query_rows + key_rows) * width + 2 * query_rows + 2 * rows * width; }
};

void attend_block(const Shape& shape, const HeadRows& query, const HeadRows& key, const HeadRows& value, int64_t first, Parts parts,
                  const HeadRows& out, float* log_sum_exp) {
  const int64_t width = shape.width, count = std::min(shape.query_rows, shape.rows - first);
  float *q = parts.take(shape.query_rows * width), *sums = parts.take(shape.query_rows * width), *k = parts.take(shape.key_rows * width),
        *v = parts.take(shape.key_rows * width), *scores = parts.take(shape.query_rows * shape.key_rows), *maximum = parts.take(shape.query_rows),
        *total = parts.take(shape.query_rows);
  query.load(first, count, q);
  scale_row(q, count * width, shape.scale);
  std::fill_n(sums, count * width, 0.0f);
  std::fill_n(maximum, count, -std::numeric_limits<float>::infinity());
  std::fill_n(total, count, 0.0f);
  for (int64_t begin = 0; begin < first + count; begin += shape.key_rows) {
    const int64_t keys = std::min(shape.key_rows, first + count - begin);
    key.load_transposed(begin, keys, k);
    value.load(begin, keys, v);
    multiply_tiles(count, keys, width, q, k, scores);
    continue_softmax({scores, count, keys, first - begin + 1}, maximum, total, sums, width);
    multiply_tiles(count, width, keys, scores, v, sums, /*add=*/true);
  }
  for (int64_t r = 0; r < count; ++r) {
    scale_row(sums + r * width, width, 1 / total[r]);
    log_sum_exp[first + r] = maximum[r] + std::log(total[r]);
  }
  out.store(first, count, sums);
}

// One head of queries: its dq, and what it adds to the dk and dv of its keys.
void attend_backward_head(const Shape& shape, const HeadRows& gradient, const HeadRows& query, const HeadRows& key, const HeadRows& value,
                          const HeadRows& out, const float* log_sum_exp, Parts parts, const HeadRows& to, float* dk, float* dv) {
  const int64_t width = shape.width;
  float *q = parts.take(shape.query_rows * width), *g = parts.take(shape.query_rows * width), *dq = parts.take(shape.query_rows * width),
        *mean = parts.take(2 * shape.query_rows), *k = parts.take(shape.key_rows * width), *kt = parts.take(shape.key_rows * width),
        *vt = parts.take(shape.key_rows * width);
  const int64_t tile = shape.query_rows * shape.key_rows;
  float *scores = parts.take(tile), *slopes = parts.take(tile), *scores_t = parts.take(tile), *slopes_t = parts.take(tile);
  for (int64_t first = 0; first < shape.rows; first += shape.query_rows) {
    const int64_t count = std::min(shape.query_rows, shape.rows - first);
    query.load(first, count, q);
    scale_row(q, count * width, shape.scale);
    gradient.load(first, count, g);
    out.load(first, count, dq);
    row_products(g, dq, count, width, mean);
    for (int64_t begin = 0; begin < first + count; begin += shape.key_rows) {
      const int64_t keys = std::min(shape.key_rows, first + count - begin);
      key.load(begin, keys, k);
      key.load_transposed(begin, keys, kt);
      value.load_transposed(begin, keys, vt);
      multiply_tiles(count, keys, width, q, kt, scores);
      multiply_tiles(count, keys, width, g, vt, slopes);
      softmax_gradient({scores, count, keys, first - begin + 1}, log_sum_exp + first, mean, slopes);
      const auto transpose = [&](const float* from, float* turned) {
        widen_tile({reinterpret_cast<const char*>(from), at::kFloat, 1, keys}, 0, 0, keys, count, turned, count);
      };
      transpose(scores, scores_t);
      transpose(slopes, slopes_t);
      multiply_tiles(keys, width, count, scores_t, g, dv + begin * width, /*add=*/true);
      multiply_tiles(keys, width, count, slopes_t, q, dk + begin * width, /*add=*/true);
      multiply_tiles(count, width, keys, slopes, k, dq, /*add=*/begin > 0);
    }
    scale_row(dq, count * width, shape.scale);
    to.store(first, count, dq);
  }
}

int64_t bytes_of(const Heads& heads) { return static_cast<int64_t>(heads.query.nbytes() + heads.key.nbytes()); }

}  // namespace

std::pair<at::Tensor, at::Tensor> blocked_attention(const Heads& heads) {
  const Shape shape(heads);
  CountScope::product(2 * shape.flops_of_a_product(), 2 * bytes_of(heads));  // of the result as of the queries, of the values as of the keys
  if (side_of(heads.query) == Side::gpu) return gpu_attention(heads);
  const auto out = at::empty({shape.samples, shape.rows, shape.heads, shape.width}, heads.query.options()).transpose(1, 2);
  const auto log_sum_exp = at::empty({shape.samples, shape.heads, shape.rows}, heads.query.options().dtype(at::kFloat));
  const int64_t tasks = shape.samples * shape.heads * shape.query_blocks;
  const auto scratch = scratch_of(tasks, shape.forward_floats(), out);
  if (out.is_meta()) return {out, log_sum_exp};
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t block = task % shape.query_blocks, head = task / shape.query_blocks % shape.heads;
      const int64_t sample = task / shape.query_blocks / shape.heads, key_head = head * shape.key_heads / shape.heads;
      attend_block(shape, {heads.query, sample, head}, {heads.key, sample, key_head}, {heads.value, sample, key_head}, block * shape.query_rows,
                   parts_of(scratch), {out, sample, head},
                   log_sum_exp.data_ptr<float>() + (sample * shape.heads + head) * shape.rows);
    }
  });
  return {out, log_sum_exp};
}

void blocked_attention_backward(const at::Tensor& gradient, const Heads& heads, const at::Tensor& out, const at::Tensor& log_sum_exp,
                                const Heads& to) {
  const Shape shape(heads);
  CountScope::product(5 * shape.flops_of_a_product(), 4 * bytes_of(heads));  // and of the gradient of each
  if (side_of(gradient) == Side::gpu) return gpu_attention_backward(gradient, heads, out, log_sum_exp, to);
  const int64_t tasks = shape.samples * shape.key_heads, group = shape.heads / shape.key_heads;
  const auto scratch = scratch_of(tasks, shape.backward_floats(), out);
  if (out.is_meta()) return;
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t sample = task / shape.key_heads, key_head = task % shape.key_heads, count = shape.rows * shape.width;
      auto parts = parts_of(scratch);
      float *dk = parts.take(count), *dv = parts.take(count);
      std::fill_n(dk, 2 * count, 0.0f);
      for (int64_t head = key_head * group; head < (key_head + 1) * group; ++head) {
        attend_backward_head(shape, {gradient, sample, head}, {heads.query, sample, head}, {heads.key, sample, key_head},
                             {heads.value, sample, key_head}, {out, sample, head},
                             log_sum_exp.const_data_ptr<float>() + (sample * shape.heads + head) * shape.rows, parts, {to.query, sample, head}, dk, dv);
      }
      HeadRows(to.key, sample, key_head).store(0, shape.rows, dk);
      HeadRows(to.value, sample, key_head).store(0, shape.rows, dv);
    }
  });
}

}  // namespace zerorun::ops
