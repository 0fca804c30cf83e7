#include "core/ops/attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using at::Tensor;

struct Heads {
  Tensor query, key, value;  // [B, H, T, D], views
};

Heads split_heads(const Tensor& qkv, int64_t heads) {
  const int64_t head_dim = qkv.size(2) / 3 / heads;
  const auto parts = qkv.view({qkv.size(0), qkv.size(1), 3, heads, head_dim}).unbind(2);
  return {parts[0].transpose(1, 2), parts[1].transpose(1, 2), parts[2].transpose(1, 2)};
}

// LibTorch 2.11 has no C++ meta kernel for these two: what follows repeats what its cpu kernels allocate.
struct Blocks {
  int64_t query, key;  // rows of a block
  explicit Blocks(int64_t rows) : query(std::min<int64_t>(rows >= 768 ? 256 : rows >= 192 ? 64 : 32, rows)), key(std::min<int64_t>(512, rows)) {}
};

std::tuple<Tensor, Tensor> attend_on_meta(const Heads& heads) {
  const auto& query = heads.query;
  const int64_t samples = query.size(0), count = query.size(1), rows = query.size(2), head_dim = query.size(3);
  const auto accumulate = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const bool reduced = query.scalar_type() == at::kBFloat16 || query.scalar_type() == at::kHalf;
  const Blocks blocks(rows);
  auto out = at::empty_like(query);
  auto log_sum_exp = at::empty({samples, rows, count}, query.options().dtype(accumulate));
  const auto scratch = at::empty({at::get_num_threads(), blocks.query * (blocks.key + 2 + head_dim)}, log_sum_exp.options());
  const auto narrowed = at::empty({reduced ? at::get_num_threads() * blocks.query * blocks.key : 0}, query.options());
  return {out, log_sum_exp.transpose(1, 2)};
}

std::tuple<Tensor, Tensor, Tensor> attend_backward_on_meta(const Tensor& gradient, const Heads& heads) {
  const auto& query = heads.query;
  const int64_t samples = query.size(0), count = query.size(1), rows = query.size(2), head_dim = query.size(3);
  const auto accumulate = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const bool reduced = query.scalar_type() == at::kBFloat16 || query.scalar_type() == at::kHalf;
  const Blocks blocks(rows);
  const auto like = [&] { return at::empty({samples, rows, count, head_dim}, query.options()); };
  const Tensor dq = like(), dk = like(), dv = like();
  const auto contiguous = gradient.transpose(1, 2).contiguous();
  const int64_t threads = at::get_num_threads(), tile = blocks.query * blocks.key;
  const auto scratch = at::empty({threads, 2 * tile}, query.options().dtype(accumulate));
  const auto narrowed = at::empty({reduced ? threads * 2 * tile : 0}, query.options());
  // One row sum for each worker that gets heads; all alive at once is the upper bound.
  const int64_t per_worker = (samples * count + threads - 1) / threads;
  const int64_t workers = (samples * count + per_worker - 1) / per_worker;
  const auto row_sums = at::empty({workers, blocks.query}, scratch.options());
  return {dq.transpose(1, 2), dk.transpose(1, 2), dv.transpose(1, 2)};
}

struct CausalAttention : torch::autograd::Function<CausalAttention> {
  static Tensor forward(AutogradContext* context, const Tensor& qkv, int64_t heads) {
    const auto parts = split_heads(qkv, heads);
    const auto [out, log_sum_exp] =
        qkv.is_meta() ? attend_on_meta(parts)
                      : at::_scaled_dot_product_flash_attention_for_cpu(parts.query, parts.key, parts.value, 0.0, /*is_causal=*/true);
    context->save_for_backward({qkv, out, log_sum_exp});
    context->saved_data["heads"] = heads;
    return out.transpose(1, 2).reshape({qkv.size(0), qkv.size(1), qkv.size(2) / 3});
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &qkv = saved[0], &out = saved[1], &log_sum_exp = saved[2];
    const auto heads = split_heads(qkv, context->saved_data["heads"].toInt());
    const auto gradient = gradients[0].view({qkv.size(0), qkv.size(1), heads.query.size(1), heads.query.size(3)}).transpose(1, 2);
    const auto [dq, dk, dv] =
        qkv.is_meta() ? attend_backward_on_meta(gradient, heads)
                      : at::_scaled_dot_product_flash_attention_for_cpu_backward(gradient, heads.query, heads.key, heads.value, out,
                                                                                 log_sum_exp, 0.0, /*is_causal=*/true);
    const auto beside = [&](const Tensor& part) { return part.transpose(1, 2).reshape({qkv.size(0), qkv.size(1), -1}); };
    return {at::cat({beside(dq), beside(dk), beside(dv)}, -1), Tensor()};
  }
};

}  // namespace

Tensor causal_attention(const Tensor& qkv, int64_t heads) { return CausalAttention::apply(qkv, heads); }

}  // namespace zerorun::ops
