// Row kernels of layer norm and RMS norm: the latter is the former with a mean of 0 and no bias.
#pragma once
#include <cstdint>

#include "core/gpu/handle.h"

namespace zerorun::ops {

// y = (x - mean) scale weight + bias for rows of `columns` numbers, where scale = 1 / sqrt(mean((x - mean)^2) + eps), from
// two passes over the row. Statistics are fp32.
struct NormRows {
  c10::ScalarType dtype;
  int64_t columns;
  double eps;
  const void *x, *weight, *bias;  // no bias: RMS norm
  float *mean, *scale;            // one a row, written; RMS norm has no mean
  void* y;
};
void normalise_rows(const NormRows& rows, int64_t begin, int64_t end);
void normalise_rows(const NormRows& rows, int64_t count, GpuStream stream);  // on a GPU: rows 0 to count

// From the gradient of y, with g = gradient weight and z = (x - mean) scale: dx = scale (g - mean(g) - z mean(g z)), without mean(g)
// for RMS norm, plus the row of `stream`; and what the rows add to weight_sums (gradient z) and bias_sums (gradient).
struct NormGradientRows {
  c10::ScalarType dtype;
  int64_t columns;
  const void *gradient, *x, *weight, *stream;  // no stream: nothing is added
  const float *mean, *scale;
  void* dx;                                    // may be null, as the sums: not asked for
};
void norm_gradient_rows(const NormGradientRows& rows, int64_t begin, int64_t end, float* weight_sums, float* bias_sums);

// On a GPU, of rows 0 to count. The sums are [blocks, columns], of `block_rows` rows each; null where they are not asked for.
struct NormSums {
  int64_t block_rows, blocks;
  float *weight, *bias;
};
void norm_gradient_rows(const NormGradientRows& rows, int64_t count, const NormSums& sums, GpuStream stream);

}  // namespace zerorun::ops
