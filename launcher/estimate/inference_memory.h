// What generation takes of a device. Without autograd nothing is kept for backward: of activations there is what is alive at one moment.
#pragma once
#include <cstdint>
#include <string>

#include "core/architectures/architecture.h"
#include "launcher/estimate/activation_formulas.h"

namespace zerorun {

struct InferenceMemory {
  int64_t weights = 0;
  int64_t kv_bytes_per_token = 0;  // 2 L n d e, of a sample
  int64_t kv_cache = 0;            // of all positions of all samples
  // Of a block over a whole text, attention in blocks: the stream, and the most that is beside it at a time. Of attention: what the norm leaves, queries,
  // keys, values, result. Of the feed-forward: what the norm leaves, gate and up, or gate, up and product.
  int64_t activations = 0;
  int64_t logits = 0;  // of the last position, fp32
  // Where blocks sleep in host memory and come one after the other: all that is no block, and `slots` of the largest block.
  int64_t streamed_weights = 0;
  // In decoding each token of a batch reads the weights that it is computed with once, and its cache. 0 without a bandwidth.
  double tokens_per_second = 0, seconds_per_token = 0;

  int64_t total() const { return weights + kv_cache + activations + logits; }
  int64_t streamed_total() const { return total() - weights + streamed_weights; }
};

// `bandwidth`: bytes a second of the device's memory, or 0. Throws Error(configuration) where a figure exceeds 2^58.
InferenceMemory inference_memory(const Architecture& model, const ActivationSizes& sizes, int slots, double bandwidth);

}  // namespace zerorun
