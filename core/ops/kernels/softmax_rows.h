// Row kernels of cross-entropy over fp32 logits.
#pragma once
#include <cstdint>

#include "core/gpu/handle.h"

namespace zerorun::ops {

// -log softmax(logits)[target] of one row of `count` logits. With `gradient_scale` != 0 the logits are replaced by
// gradient_scale * (softmax - onehot(target)). A NaN or +infinity among the logits makes the loss
// NaN; -infinity counts as a probability of 0, and as a loss of infinity at the target.
double softmax_cross_entropy_row(float* logits, int64_t count, int64_t target, float gradient_scale);

// The same on a GPU, row by row, of logits in any dtype; the loss is 0, and so is the gradient, where the target is `ignored`. What is not a number comes of a
// target outside of the vocabulary.
struct CrossEntropyRows {
  c10::ScalarType dtype;
  int64_t rows, vocabulary, stride;  // of logits, from row to row
  void* logits;
  const int64_t* target;
  int64_t ignored;
  double* loss;  // of each row
  float gradient_scale;
};
void softmax_cross_entropy_rows(const CrossEntropyRows& rows, GpuStream stream);

// Causal attention over blocks of queries, in fp32. scores [heads, rows, keys] of queries first_row on; a query sees keys up to its own. They become
// softmax(scale scores), and log_sum_exp [heads, rows] (rows of a head `stride` apart) its logarithm's base; or, where that is known, exp(scale scores - log_sum_exp).
struct CausalRows {
  int64_t heads, rows, keys, first_row;
  float scale;
  float* scores;
  float* log_sum_exp;
  int64_t stride;
  bool known;
};
void causal_softmax_rows(const CausalRows& rows);
void causal_softmax_rows(const CausalRows& rows, GpuStream stream);

// From probabilities P and their gradients dP, both [heads, rows, keys], dP becomes scale P (dP - delta), where delta [heads, rows] is the sum over D of
// gradient and output of the row.
struct CausalGradientRows {
  int64_t heads, rows, keys;
  float scale;
  const float *probabilities, *delta;
  int64_t stride;  // of delta, from head to head
  float* gradient;
};
void causal_softmax_gradient_rows(const CausalGradientRows& rows);
void causal_softmax_gradient_rows(const CausalGradientRows& rows, GpuStream stream);

}  // namespace zerorun::ops
