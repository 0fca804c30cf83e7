#include "launcher/estimate/inference_memory.h"

#include <algorithm>

#include "launcher/estimate/checked_product.h"

namespace zerorun {
namespace {

// Elements of a token beside one another, at the worst moment of a block.
int64_t alive(const BlockStack& blocks) {
  const int64_t inner = blocks.inner * blocks.experts_of_token;
  const int64_t attention = 2 * blocks.hidden + 2 * (blocks.heads + blocks.key_value_heads) * blocks.head_dim;
  const int64_t feed_forward = blocks.gated ? std::max(2 * blocks.hidden + 2 * inner, blocks.hidden + 3 * inner) : std::max(2 * blocks.hidden + inner, blocks.hidden + 2 * inner);
  return std::max(attention, feed_forward);
}

}  // namespace

InferenceMemory inference_memory(const Architecture& model, const ActivationSizes& sizes, int slots, double bandwidth) {
  const auto& blocks = model.blocks;
  const int64_t element = sizes.element_bytes;
  InferenceMemory memory;
  memory.weights = element * model.parameters;
  memory.kv_bytes_per_token = checked_product({2, blocks.layers, blocks.key_value_heads, blocks.head_dim, element});
  memory.kv_cache = checked_product({memory.kv_bytes_per_token, sizes.seq_len, sizes.samples});
  memory.activations = checked_product({element, sizes.seq_len, sizes.samples, alive(blocks)});
  memory.logits = checked_product({4, sizes.samples, model.vocab_size});
  memory.streamed_weights = std::min(memory.weights, element * (model.parameters - model.block_parameters + slots * model.largest_block));
  if (bandwidth > 0) {
    const double samples = static_cast<double>(sizes.samples);
    const double seconds = static_cast<double>(element * model.active_parameters + memory.kv_cache) / bandwidth;  // of a step, which gives each sample a token
    memory.tokens_per_second = samples / seconds;
    memory.seconds_per_token = seconds / samples;
  }
  return memory;
}

}  // namespace zerorun
