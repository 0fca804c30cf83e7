// The element-wise loops behind updates and norms, compiled for several instruction sets and chosen at run time.
// Each works on the first `count` elements of its arrays. fp32, except where said.
#pragma once
#include <cstdint>

namespace zerorun::kernels {

struct AdamWFactors {
  float gradient_scale, decay, beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, inverse_correction2, eps;
};
void adamw(float* parameter, const float* gradient, float* m, float* v, int64_t count, const AdamWFactors& factors);

struct SgdFactors {
  float gradient_scale, weight_decay, lr, momentum;
};
void sgd(float* parameter, const float* gradient, int64_t count, const SgdFactors& factors);
void sgd_momentum(float* parameter, const float* gradient, float* buffer, int64_t count, const SgdFactors& factors);

// sum += part
void add(float* sum, const float* part, int64_t count);

// Sum of squares in fp64, in eight interleaved lanes added in a fixed order.
double sum_of_squares(const float* values, int64_t count);

}  // namespace zerorun::kernels
