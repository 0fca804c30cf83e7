#include "core/models/attention.h"

#include "core/ops/attention.h"
#include "core/ops/cached_attention.h"
#include "core/ops/linear.h"

namespace zerorun {

at::Tensor attend(const StepContext& context, const at::Tensor& qkv, int64_t heads) {
  if (!context.cache) return ops::causal_attention(qkv, heads);
  const int64_t width = qkv.size(2) / 3;
  const auto rows = context.cache->append(qkv.narrow(2, width, width), qkv.narrow(2, 2 * width, width));
  if (context.mode == Mode::prefill) return ops::causal_attention(qkv, heads);
  return ops::attend_to_cache(qkv.narrow(2, 0, width), rows.keys, rows.values, width / heads);
}

at::Tensor attend(const StepContext& context, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, int64_t head_dim) {
  if (!context.cache) return ops::causal_attention(query, key, value, head_dim);
  const auto rows = context.cache->append(key, value);
  if (context.mode == Mode::prefill) return ops::causal_attention(query, key, value, head_dim);
  return ops::attend_to_cache(query, rows.keys, rows.values, head_dim);
}

at::Tensor last_position(const at::Tensor& stream) { return stream.select(1, stream.size(1) - 1).contiguous(); }

at::Tensor logits_of(const at::Tensor& x, const at::Tensor& weight) { return ops::linear(x, weight).to(at::kFloat); }

}  // namespace zerorun
