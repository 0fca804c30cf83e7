// Attention and logits as a model's units use them in every mode: over the text of a step, or over the cache.
#pragma once
#include <ATen/core/Tensor.h>

#include "core/kv_cache.h"

namespace zerorun {

// As ops::causal_attention; in prefill keys and values are kept too, in decode appended and attended to. Keys come turned, where a
// model turns them.
at::Tensor attend(const StepContext& context, const at::Tensor& qkv, int64_t heads);
at::Tensor attend(const StepContext& context, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t head_dim);

// stream [B, T, C] -> [B, C].
at::Tensor last_position(const at::Tensor& stream);

// x [B, C], weight [V, C] -> [B, V] in fp32, rounded once to the dtype of x.
at::Tensor logits_of(const at::Tensor& x, const at::Tensor& weight);

}  // namespace zerorun
