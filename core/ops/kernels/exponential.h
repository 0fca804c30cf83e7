// exp for loops that vectorise, the same on a processor and on a GPU.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "core/ops/kernels/number_bits.h"

namespace zerorun::ops {

// exp(x) for x <= 0, 2 ulp: 2^n times a polynomial on [-ln2/2, ln2/2] (Taylor to degree 7, ln2 split in two as Cody and
// Waite do). NaN stays NaN; below -87 the result is 0 to within the smallest normal.
ZR_INLINE constexpr float exp_of_non_positive(float x) {
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

// 1 / (1 + exp(-x)).
ZR_INLINE constexpr float sigmoid(float x) {
  const float power = exp_of_non_positive(-std::fabs(x)), inverse = 1 / (1 + power);
  return x < 0 ? power * inverse : inverse;
}

}  // namespace zerorun::ops
