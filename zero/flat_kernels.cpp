#include "zero/flat_kernels.h"

#include <cmath>

#include "core/ops/kernels/number.h"

namespace zerorun::kernels {

ZR_FOR_EACH_CPU
void adamw(float* __restrict parameter, const float* __restrict gradient, float* __restrict m, float* __restrict v, int64_t count,
           const AdamWFactors& f) {
  const AdamWFactors factors = f;
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * factors.gradient_scale;
    m[i] = factors.beta1 * m[i] + factors.one_minus_beta1 * g;
    v[i] = factors.beta2 * v[i] + factors.one_minus_beta2 * g * g;
    const float denominator = std::sqrt(v[i]) * factors.inverse_correction2 + factors.eps;
    parameter[i] = parameter[i] * factors.decay - factors.step_size * (m[i] / denominator);
  }
}

ZR_FOR_EACH_CPU
void sgd(float* __restrict parameter, const float* __restrict gradient, int64_t count, const SgdFactors& f) {
  const SgdFactors factors = f;
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * factors.gradient_scale + factors.weight_decay * parameter[i];
    parameter[i] -= factors.lr * g;
  }
}

ZR_FOR_EACH_CPU
void sgd_momentum(float* __restrict parameter, const float* __restrict gradient, float* __restrict buffer, int64_t count,
                  const SgdFactors& f) {
  const SgdFactors factors = f;
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * factors.gradient_scale + factors.weight_decay * parameter[i];
    buffer[i] = factors.momentum * buffer[i] + g;
    parameter[i] -= factors.lr * buffer[i];
  }
}

ZR_FOR_EACH_CPU
void add(float* __restrict sum, const float* __restrict part, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] += part[i];
}

ZR_FOR_EACH_CPU
double sum_of_squares(const float* values, int64_t count) {
  constexpr int kLanes = 8;
  double lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lane[l] += static_cast<double>(values[i + l]) * values[i + l];
  }
  for (; i < count; ++i) lane[0] += static_cast<double>(values[i]) * values[i];
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

}  // namespace zerorun::kernels
