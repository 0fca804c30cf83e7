// The arithmetic of updates, element by element: the same on a processor and on a GPU, to the bit. Correctly rounded operations in one order.
#pragma once
#include <cmath>

#include "core/ops/kernels/number_bits.h"
#include "zero/flat_kernels.h"

namespace zerorun::kernels {

// `scale` of the gradient and `decay` of the parameter are handed in beside the factors.
ZR_INLINE constexpr void adamw_element(float& parameter, float gradient, float& m, float& v, float scale, float decay, const AdamWFactors& f) {
  const float g = gradient * scale;
  m = f.beta1 * m + f.one_minus_beta1 * g;
  v = f.beta2 * v + f.one_minus_beta2 * g * g;
  const float denominator = std::sqrt(v) * f.inverse_correction2 + f.eps;
  parameter = parameter * decay - f.step_size * (m / denominator);
}

ZR_INLINE constexpr void sgd_element(float& parameter, float gradient, float scale, float weight_decay, const SgdFactors& f) {
  const float g = gradient * scale + weight_decay * parameter;
  parameter -= f.lr * g;
}

ZR_INLINE constexpr void sgd_momentum_element(float& parameter, float gradient, float& buffer, float scale, float weight_decay, const SgdFactors& f) {
  const float g = gradient * scale + weight_decay * parameter;
  buffer = f.momentum * buffer + g;
  parameter -= f.lr * buffer;
}

}  // namespace zerorun::kernels
