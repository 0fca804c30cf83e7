#include "core/ops/softmax_rows.h"

#include <bit>
#include <cmath>
#include <limits>

#define ZR_FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))

namespace zerorun::ops {
namespace {

// exp(x) for x <= 0, 2 ulp: 2^n times a polynomial on [-ln2/2, ln2/2] (Taylor to degree 7, ln2 split in two as Cody and
// Waite do). NaN stays NaN; below -87 the result is 0 to within the smallest normal.
inline float exp_of_non_positive(float x) {
  const float clamped = x < -87.0f ? -87.0f : x;
  const float n = std::floor(clamped * 1.44269504f + 0.5f);
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const auto exponent = static_cast<int32_t>(n) + 127;
  return p * std::bit_cast<float>(exponent << 23);
}

}  // namespace

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
