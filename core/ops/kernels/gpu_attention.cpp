#include "core/ops/kernels/gpu_attention.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "core/gpu/gpu.h"
#include "core/gpu/shape.h"
#include "core/memory.h"
#include "core/ops/kernels/number.h"
#include "core/round_up.h"

namespace zerorun::ops {
namespace {

using at::Tensor;

// Not for a single row, for which LibTorch swaps heads and rows.
bool flashes(const Heads& heads) {
  return is_reduced(heads.query.scalar_type()) && heads.query.size(3) % 8 == 0 && heads.query.size(3) <= 256 && heads.query.size(2) > 1;
}

int64_t blocks_of(int64_t count, int64_t block) { return (count + block - 1) / block; }
int64_t padded_width(int64_t width) { return round_up(width, width <= 128 ? 32 : 64); }

// [B, H, T, D] -> [B, T, H, D], which flash attention reads. A view.
Tensor by_row(const Tensor& heads) { return heads.transpose(1, 2); }

Tensor empty_rows(const Tensor& heads) { return at::empty({heads.size(0), heads.size(2), heads.size(1), heads.size(3)}, heads.options()); }

// [B, T, H, D], of which `from` is contiguous: rows H D long where those of `to` are whole, as they are where it is a part of wider rows.
void copy_rows(const Tensor& from, const Tensor& to) {
  const int64_t rows = to.size(0) * to.size(1), width = to.size(2) * to.size(3), stride = to.stride(1);
  const bool is_whole = to.stride(3) == 1 && to.stride(2) == to.size(3) && (to.size(0) == 1 || to.stride(0) == to.size(1) * stride) && stride >= width;
  if (!is_whole || !from.is_contiguous()) return static_cast<void>(to.copy_(from));
  gpu::copy_rows(from.const_data_ptr(), width * from.element_size(), to.data_ptr(), stride * to.element_size(), width * to.element_size(), rows);
}

// Into how many parts the forward kernel cuts the keys where its tasks are fewer than the GPU takes at a time: the least that keep it nearly as busy as any.
int64_t key_splits(int64_t tasks, int64_t at_a_time, int64_t key_blocks) {
  constexpr double kBusy = 0.8, kNearly = 0.85;
  if (static_cast<double>(tasks) >= kBusy * static_cast<double>(at_a_time)) return 1;
  const int64_t most = std::min({int64_t{128}, at_a_time, key_blocks});
  const auto eligible = [&](int64_t splits) { return splits == 1 || blocks_of(key_blocks, splits) != blocks_of(key_blocks, splits - 1); };
  const auto busy = [&](int64_t splits) {
    const double waves = static_cast<double>(tasks * splits) / static_cast<double>(at_a_time);
    return waves / std::ceil(waves);
  };
  double best = 0;
  for (int64_t splits = 1; splits <= most; ++splits) best = eligible(splits) ? std::max(best, busy(splits)) : best;
  for (int64_t splits = 1; splits <= most; ++splits) {
    if (eligible(splits) && busy(splits) >= kNearly * best) return splits;
  }
  return 1;
}

// What LibTorch's kernel allocates beside its results.
std::pair<Tensor, Tensor> foretell_flash(const Heads& heads) {
  constexpr int64_t kRowBlock = 64;
  const int64_t samples = heads.query.size(0), count = heads.query.size(1), rows = heads.query.size(2), width = heads.query.size(3);
  const int64_t key_block = width <= 64 ? 256 : width <= 128 ? 128 : 64;
  const auto floats = heads.query.options().dtype(at::kFloat), words = heads.query.options().dtype(at::kLong);
  const auto out = empty_rows(heads.query), log_sum_exp = at::empty({samples, count, rows}, floats);
  const int64_t splits = key_splits(samples * count * blocks_of(rows, kRowBlock), 2 * gpu::foretold().multiprocessors, blocks_of(rows, key_block));
  Tensor parts_of_sums, parts;
  if (splits > 1) {
    parts_of_sums = at::empty({splits, samples, count, rows}, floats);
    parts = at::empty({splits, samples, count, rows, padded_width(width)}, floats);
  }
  const auto seed = at::empty({2}, words), offset = at::empty({}, words);
  return {out, log_sum_exp};
}

void foretell_flash_backward(const Heads& heads) {
  const MemoryScope workspace(Category::workspace);
  constexpr int64_t kRows = 128;
  const int64_t samples = heads.query.size(0), count = heads.query.size(1), rows = round_up(heads.query.size(2), kRows), width = heads.query.size(3);
  const auto floats = heads.query.options().dtype(at::kFloat);
  const auto gpu = gpu::foretold();
  const int64_t parts = gpu.deterministic ? blocks_of(gpu.multiprocessors, samples * count) : 1;  // of the query's gradient, added in order
  const auto no_draws = at::empty({2}, heads.query.options().dtype(at::kLong));
  const auto dq = empty_rows(heads.query), dk = empty_rows(heads.key), dv = empty_rows(heads.value);
  const auto sums = at::empty({samples, count, rows}, floats), dq_sums = at::empty({parts, samples, rows, count, padded_width(width)}, floats);
  if (heads.key.size(1) == count) return;
  const auto of_query_heads = [&] { return at::empty({samples, heads.key.size(2), count, width}, heads.key.options()); };
  const auto dk_expanded = of_query_heads(), dv_expanded = of_query_heads();
}

}  // namespace

std::pair<Tensor, Tensor> gpu_attention(const Heads& heads) {
  if (!flashes(heads)) return attention_in_blocks(heads);
  if (heads.query.is_meta()) {
    const auto [out, log_sum_exp] = foretell_flash(heads);
    return {by_row(out), log_sum_exp};
  }
  const int64_t rows = heads.query.size(2);
  const auto results = at::_flash_attention_forward(by_row(heads.query), by_row(heads.key), by_row(heads.value), std::nullopt, std::nullopt, rows, rows,
                                                    /*dropout_p=*/0, /*is_causal=*/true, /*return_debug_mask=*/false);
  return {by_row(std::get<0>(results)), std::get<1>(results)};
}

void gpu_attention_backward(const Tensor& gradient, const Heads& heads, const Tensor& out, const Tensor& log_sum_exp, const Heads& to) {
  if (!flashes(heads)) return attention_in_blocks_backward(gradient, heads, out, log_sum_exp, to);
  if (gradient.is_meta()) return foretell_flash_backward(heads);
  const MemoryScope workspace(Category::workspace);
  const int64_t rows = heads.query.size(2);
  const auto no_draws = at::empty({2}, heads.query.options().dtype(at::kLong));
  const auto [dq, dk, dv] = at::_flash_attention_backward(by_row(gradient), by_row(heads.query), by_row(heads.key), by_row(heads.value), by_row(out), log_sum_exp,
                                                          Tensor(), Tensor(), rows, rows, /*dropout_p=*/0, /*is_causal=*/true, no_draws, no_draws);
  copy_rows(dq, by_row(to.query));
  copy_rows(dk, by_row(to.key));
  copy_rows(dv, by_row(to.value));
}

}  // namespace zerorun::ops
