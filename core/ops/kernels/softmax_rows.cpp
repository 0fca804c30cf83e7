#include "core/ops/kernels/softmax_rows.h"

#include <algorithm>
#include <cmath>

#include "core/ops/kernels/exponential.h"
#include "core/ops/kernels/number.h"

namespace zerorun::ops {

ZR_FOR_EACH_CPU
double softmax_cross_entropy_row(float* logits, int64_t count, int64_t target, float gradient_scale) {
  float maximum = logits[0];
#pragma omp simd reduction(max : maximum)
  for (int64_t i = 0; i < count; ++i) maximum = logits[i] > maximum ? logits[i] : maximum;
  const float at_target = logits[target] - maximum;
  // In blocks, and those in double: a long fp32 sum would lose its small terms, always to the same side.
  constexpr int64_t kBlock = 512;
  double sum = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = begin + kBlock < count ? begin + kBlock : count;
    float block = 0;
#pragma omp simd reduction(+ : block)
    for (int64_t i = begin; i < end; ++i) {
      const float power = exp_of_non_positive(logits[i] - maximum);
      logits[i] = power;
      block += power;
    }
    sum += block;
  }
  if (gradient_scale != 0) {
    const auto scale = static_cast<float>(gradient_scale / sum);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) logits[i] *= scale;
    logits[target] -= gradient_scale;
  }
  return std::log(sum) - at_target;
}

void causal_softmax_rows(const CausalRows& rows) {
  for (int64_t i = 0; i < rows.heads * rows.rows; ++i) {
    const int64_t head = i / rows.rows, row = i % rows.rows, seen = std::min(rows.keys, rows.first_row + row + 1);
    float* const scores = rows.scores + i * rows.keys;
    float& log_sum_exp = rows.log_sum_exp[head * rows.stride + row];
    if (!rows.known) {
      const float maximum = *std::max_element(scores, scores + seen) * rows.scale;
      double sum = 0;
      for (int64_t key = 0; key < seen; ++key) sum += std::exp(scores[key] * rows.scale - maximum);
      log_sum_exp = maximum + static_cast<float>(std::log(sum));
    }
    for (int64_t key = 0; key < seen; ++key) scores[key] = std::exp(scores[key] * rows.scale - log_sum_exp);
    std::fill(scores + seen, scores + rows.keys, 0.0f);
  }
}

void causal_softmax_gradient_rows(const CausalGradientRows& rows) {
  for (int64_t i = 0; i < rows.heads * rows.rows; ++i) {
    const float delta = rows.delta[i / rows.rows * rows.stride + i % rows.rows];
    for (int64_t key = i * rows.keys; key < (i + 1) * rows.keys; ++key) rows.gradient[key] = rows.scale * rows.probabilities[key] * (rows.gradient[key] - delta);
  }
}

}  // namespace zerorun::ops
