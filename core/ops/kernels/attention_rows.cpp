#include "core/ops/kernels/attention_rows.h"

#include <algorithm>

#include "core/ops/kernels/exponential.h"
#include "core/ops/kernels/number.h"

namespace zerorun::ops {

ZR_FOR_EACH_CPU
void continue_softmax(const ScoreBlock& block, float* maximum, float* sum, float* out, int64_t width) {
  for (int64_t r = 0; r < block.rows; ++r) {
    float* scores = block.scores + r * block.columns;
    const int64_t seen = std::min(block.seen + r, block.columns);
    float top = maximum[r];
#pragma omp simd reduction(max : top)
    for (int64_t c = 0; c < seen; ++c) top = scores[c] > top ? scores[c] : top;
    float powers = 0;
#pragma omp simd reduction(+ : powers)
    for (int64_t c = 0; c < seen; ++c) {
      scores[c] = exp_of_non_positive(scores[c] - top);
      powers += scores[c];
    }
    std::fill(scores + seen, scores + block.columns, 0.0f);
    const float shrink = sum[r] == 0 ? 0.0f : exp_of_non_positive(maximum[r] - top);
    maximum[r] = top;
    sum[r] = sum[r] * shrink + powers;
    float* row = out + r * width;
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) row[c] *= shrink;
  }
}

ZR_FOR_EACH_CPU
void softmax_gradient(const ScoreBlock& block, const float* log_sum_exp, const float* mean, float* slopes) {
  for (int64_t r = 0; r < block.rows; ++r) {
    float *scores = block.scores + r * block.columns, *slope = slopes + r * block.columns;
    const int64_t seen = std::min(block.seen + r, block.columns);
    const float top = log_sum_exp[r], offset = mean[r];
#pragma omp simd
    for (int64_t c = 0; c < seen; ++c) {
      scores[c] = exp_of_non_positive(scores[c] - top);
      slope[c] = scores[c] * (slope[c] - offset);
    }
    std::fill(scores + seen, scores + block.columns, 0.0f);
    std::fill(slope + seen, slope + block.columns, 0.0f);
  }
}

ZR_FOR_EACH_CPU
void row_products(const float* a, const float* b, int64_t rows, int64_t width, float* products) {
  for (int64_t r = 0; r < rows; ++r) {
    float product = 0;
#pragma omp simd reduction(+ : product)
    for (int64_t c = 0; c < width; ++c) product += a[r * width + c] * b[r * width + c];
    products[r] = product;
  }
}

ZR_FOR_EACH_CPU
void products_with_rows(const float* row, const float* b, int64_t rows, int64_t width, float* products) {
  for (int64_t r = 0; r < rows; ++r) {
    float product = 0;
#pragma omp simd reduction(+ : product)
    for (int64_t c = 0; c < width; ++c) product += row[c] * b[r * width + c];
    products[r] = product;
  }
}

ZR_FOR_EACH_CPU
void add_weighted_rows(const float* weights, const float* b, int64_t rows, int64_t width, float* sum) {
  for (int64_t r = 0; r < rows; ++r) {
    const float weight = weights[r];
#pragma omp simd
    for (int64_t c = 0; c < width; ++c) sum[c] += weight * b[r * width + c];
  }
}

ZR_FOR_EACH_CPU
void scale_row(float* row, int64_t count, float scale) {
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) row[c] *= scale;
}

}  // namespace zerorun::ops
