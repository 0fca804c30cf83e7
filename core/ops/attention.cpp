#include "core/ops/attention.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/ops/kernels/blocked_attention.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using at::Tensor;

Heads split_heads(const Tensor& qkv, int64_t heads) {
  const int64_t head_dim = qkv.size(2) / 3 / heads;
  const auto parts = qkv.view({qkv.size(0), qkv.size(1), 3, heads, head_dim}).unbind(2);
  return {parts[0].transpose(1, 2), parts[1].transpose(1, 2), parts[2].transpose(1, 2)};
}

// [B, H, T, D], a view of [B, T, H D] -> that.
Tensor side_by_side(const Tensor& heads) { return heads.transpose(1, 2).reshape({heads.size(0), heads.size(2), -1}); }

// [B, T, H D] -> [B, H, T, D], a view.
Tensor by_head(const Tensor& x, int64_t head_dim) { return x.view({x.size(0), x.size(1), -1, head_dim}).transpose(1, 2); }

struct PackedAttention : torch::autograd::Function<PackedAttention> {
  static Tensor forward(AutogradContext* context, const Tensor& qkv, int64_t heads) {
    const auto [out, log_sum_exp] = blocked_attention(split_heads(qkv, heads));
    context->save_for_backward({qkv, out, log_sum_exp});
    context->saved_data["heads"] = heads;
    return side_by_side(out);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t count = context->saved_data["heads"].toInt();
    const auto heads = split_heads(saved[0], count);
    const auto dqkv = at::empty_like(saved[0]);
    blocked_attention_backward(by_head(gradients[0].contiguous(), heads.query.size(3)), heads, saved[1], saved[2], split_heads(dqkv, count));
    return {dqkv, Tensor()};
  }
};

struct GroupedAttention : torch::autograd::Function<GroupedAttention> {
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& key, const Tensor& value, int64_t head_dim) {
    const auto [out, log_sum_exp] = blocked_attention({by_head(query, head_dim), by_head(key, head_dim), by_head(value, head_dim)});
    context->save_for_backward({query, key, value, out, log_sum_exp});
    context->saved_data["head_dim"] = head_dim;
    return side_by_side(out);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const int64_t head_dim = context->saved_data["head_dim"].toInt();
    const auto heads = [head_dim](const Tensor& x) { return by_head(x, head_dim); };
    const auto dq = at::empty_like(saved[0]), dk = at::empty_like(saved[1]), dv = at::empty_like(saved[2]);
    blocked_attention_backward(heads(gradients[0].contiguous()), {heads(saved[0]), heads(saved[1]), heads(saved[2])}, saved[3], saved[4],
                               {heads(dq), heads(dk), heads(dv)});
    return {dq, dk, dv, Tensor()};
  }
};

}  // namespace

Tensor causal_attention(const Tensor& qkv, int64_t heads) { return PackedAttention::apply(qkv, heads); }

Tensor causal_attention(const Tensor& query, const Tensor& key, const Tensor& value, int64_t head_dim) {
  return GroupedAttention::apply(query, key, value, head_dim);
}

}  // namespace zerorun::ops
