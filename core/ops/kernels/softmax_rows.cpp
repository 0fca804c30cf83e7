#include "core/ops/kernels/softmax_rows.h"

#include <cmath>

#include "core/ops/kernels/exponential.h"

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

}  // namespace zerorun::ops
