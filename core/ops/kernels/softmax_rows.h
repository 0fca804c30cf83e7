// Row kernels of cross-entropy over fp32 logits.
#pragma once
#include <cstdint>

namespace zerorun::ops {

// -log softmax(logits)[target] of one row of `count` logits. With `gradient_scale` != 0 the logits are replaced by
// gradient_scale * (softmax - onehot(target)). A NaN or +infinity among the logits makes the loss
// NaN; -infinity counts as a probability of 0, and as a loss of infinity at the target.
double softmax_cross_entropy_row(float* logits, int64_t count, int64_t target, float gradient_scale);

}  // namespace zerorun::ops
