#include "core/ops/kernels/gpu_attention.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include "core/memory.h"
#include "core/ops/kernels/number.h"

namespace zerorun::ops {
namespace {

using at::Tensor;

bool flashes(const Heads& heads) { return is_reduced(heads.query.scalar_type()) && heads.query.size(3) % 8 == 0 && heads.query.size(3) <= 256; }

int64_t round_up(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

// [B, H, T, D] -> [B, T, H, D], which flash attention reads. A view.
Tensor by_row(const Tensor& heads) { return heads.transpose(1, 2); }

Tensor empty_rows(const Tensor& heads) { return at::empty({heads.size(0), heads.size(2), heads.size(1), heads.size(3)}, heads.options()); }

// What LibTorch's kernel allocates beside its results.
std::pair<Tensor, Tensor> foretell_flash(const Heads& heads) {
  const auto out = empty_rows(heads.query);
  const auto log_sum_exp = at::empty({heads.query.size(0), heads.query.size(1), heads.query.size(2)}, heads.query.options().dtype(at::kFloat));
  const auto seed = at::empty({2}, heads.query.options().dtype(at::kLong)), offset = at::empty({}, heads.query.options().dtype(at::kLong));
  return {out, log_sum_exp};
}

void foretell_flash_backward(const Heads& heads) {
  const MemoryScope workspace(Category::workspace);
  constexpr int64_t kRows = 128;
  const int64_t samples = heads.query.size(0), count = heads.query.size(1), rows = round_up(heads.query.size(2), kRows), width = heads.query.size(3);
  const auto floats = heads.query.options().dtype(at::kFloat);
  const auto dq = empty_rows(heads.query), dk = empty_rows(heads.key), dv = empty_rows(heads.value);
  const auto sums = at::empty({samples, count, rows}, floats), dq_sums = at::empty({samples, rows, count, round_up(width, width <= 128 ? 32 : 64)}, floats);
  if (heads.key.size(1) == count) return;
  const auto expanded = at::empty({2, samples, heads.key.size(2), count, width}, heads.key.options());
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
  by_row(to.query).copy_(dq);
  by_row(to.key).copy_(dk);
  by_row(to.value).copy_(dv);
}

}  // namespace zerorun::ops
