#include "core/ops/attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/blocked_attention.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using at::Tensor;

constexpr int64_t kMaxFlashHeadDim = 256;

Heads split_heads(const Tensor& qkv, int64_t heads) {
  const int64_t head_dim = qkv.size(2) / 3 / heads;
  const auto parts = qkv.view({qkv.size(0), qkv.size(1), 3, heads, head_dim}).unbind(2);
  return {parts[0].transpose(1, 2), parts[1].transpose(1, 2), parts[2].transpose(1, 2)};
}

// Which of the two does it: blocked_attention.h says why.
bool takes_blocks(const Heads& heads) { return heads.query.scalar_type() != at::kFloat || heads.query.size(3) > kMaxFlashHeadDim; }

// LibTorch 2.11 has no C++ meta kernel for these two: what follows repeats what its cpu kernels allocate.
struct Blocks {
  int64_t query, key;  // rows of a block
  explicit Blocks(int64_t rows) : query(std::min<int64_t>(rows >= 768 ? 256 : rows >= 192 ? 64 : 32, rows)), key(std::min<int64_t>(512, rows)) {}
};

std::pair<Tensor, Tensor> attend_on_meta(const Heads& heads) {
  const auto& query = heads.query;
  const int64_t samples = query.size(0), count = query.size(1), rows = query.size(2), head_dim = query.size(3);
  const Blocks blocks(rows);
  auto out = at::empty_like(query);
  auto log_sum_exp = at::empty({samples, rows, count}, query.options());
  const auto scratch = at::empty({at::get_num_threads(), blocks.query * (blocks.key + 2 + head_dim)}, query.options());
  return {out, log_sum_exp.transpose(1, 2)};
}

Heads attend_backward_on_meta(const Tensor& gradient, const Heads& heads) {
  const auto& query = heads.query;
  const int64_t samples = query.size(0), count = query.size(1), rows = query.size(2), head_dim = query.size(3);
  const Blocks blocks(rows);
  const auto like = [&](const Tensor& part) { return at::empty({samples, rows, part.size(1), head_dim}, query.options()).transpose(1, 2); };
  Heads gradients{like(query), like(heads.key), like(heads.value)};
  const auto contiguous = gradient.transpose(1, 2).contiguous();
  const int64_t threads = at::get_num_threads();
  const auto scratch = at::empty({threads, 2 * blocks.query * blocks.key}, query.options());
  // One row sum for each worker that gets heads; all alive at once is the upper bound.
  const int64_t per_worker = (samples * count + threads - 1) / threads;
  const int64_t workers = (samples * count + per_worker - 1) / per_worker;
  const auto row_sums = at::empty({workers, blocks.query}, scratch.options());
  return gradients;
}

std::pair<Tensor, Tensor> attend(const Heads& heads) {
  if (takes_blocks(heads)) return blocked_attention(heads);
  if (heads.query.is_meta()) return attend_on_meta(heads);
  auto [out, log_sum_exp] = at::_scaled_dot_product_flash_attention_for_cpu(heads.query, heads.key, heads.value, 0.0, /*is_causal=*/true);
  return {out, log_sum_exp};
}

Heads attend_backward(const Tensor& gradient, const Heads& heads, const Tensor& out, const Tensor& log_sum_exp) {
  if (gradient.is_meta()) return attend_backward_on_meta(gradient, heads);
  auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(gradient, heads.query, heads.key, heads.value, out, log_sum_exp,
                                                                               0.0, /*is_causal=*/true);
  return {dq, dk, dv};
}

// [B, H, T, D] -> [B, T, H D].
Tensor side_by_side(const Tensor& heads) { return heads.transpose(1, 2).reshape({heads.size(0), heads.size(2), -1}); }

// [B, T, H D] -> [B, H, T, D], a view.
Tensor by_head(const Tensor& x, int64_t head_dim) { return x.view({x.size(0), x.size(1), -1, head_dim}).transpose(1, 2); }

struct PackedAttention : torch::autograd::Function<PackedAttention> {
  static Tensor forward(AutogradContext* context, const Tensor& qkv, int64_t heads) {
    const auto [out, log_sum_exp] = attend(split_heads(qkv, heads));
    context->save_for_backward({qkv, out, log_sum_exp});
    context->saved_data["heads"] = heads;
    return side_by_side(out);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t count = context->saved_data["heads"].toInt();
    const auto heads = split_heads(saved[0], count);
    const auto gradient = by_head(gradients[0].contiguous(), heads.query.size(3));
    if (takes_blocks(heads)) {
      const auto dqkv = at::empty_like(saved[0]);
      blocked_attention_backward(gradient, heads, saved[1], saved[2], split_heads(dqkv, count));
      return {dqkv, Tensor()};
    }
    const auto [dq, dk, dv] = attend_backward(gradient, heads, saved[1], saved[2]);
    return {at::cat({side_by_side(dq), side_by_side(dk), side_by_side(dv)}, -1), Tensor()};
  }
};

struct GroupedAttention : torch::autograd::Function<GroupedAttention> {
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& key, const Tensor& value, int64_t head_dim) {
    const auto [out, log_sum_exp] = attend({by_head(query, head_dim), by_head(key, head_dim), by_head(value, head_dim)});
    context->save_for_backward({query, key, value, out, log_sum_exp});
    context->saved_data["head_dim"] = head_dim;
    return side_by_side(out);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t head_dim = context->saved_data["head_dim"].toInt();
    const Heads heads{by_head(saved[0], head_dim), by_head(saved[1], head_dim), by_head(saved[2], head_dim)};
    const auto gradient = by_head(gradients[0].contiguous(), head_dim);
    if (takes_blocks(heads)) {
      const auto dq = at::empty_like(saved[0]), dk = at::empty_like(saved[1]), dv = at::empty_like(saved[2]);
      blocked_attention_backward(gradient, heads, saved[3], saved[4], {by_head(dq, head_dim), by_head(dk, head_dim), by_head(dv, head_dim)});
      return {dq, dk, dv, Tensor()};
    }
    const auto [dq, dk, dv] = attend_backward(gradient, heads, saved[3], saved[4]);
    return {side_by_side(dq), side_by_side(dk), side_by_side(dv), Tensor()};
  }
};

}  // namespace

Tensor causal_attention(const Tensor& qkv, int64_t heads) { return PackedAttention::apply(qkv, heads); }

Tensor causal_attention(const Tensor& query, const Tensor& key, const Tensor& value, int64_t head_dim) {
  return GroupedAttention::apply(query, key, value, head_dim);
}

}  // namespace zerorun::ops
