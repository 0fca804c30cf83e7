#include "core/ops/kernels/norm_rows.h"

#include <cmath>

#include "core/ops/kernels/number.h"

namespace zerorun::ops {
namespace {

// The sum of term(i): four streams, so that additions overlap.
template <typename Term>
ZR_INLINE float sum_of(int64_t count, Term&& term) {
  const int64_t quarter = count / 4;
  float a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
  for (int64_t i = 0; i < quarter; ++i) {
    a += term(i);
    b += term(quarter + i);
    c += term(2 * quarter + i);
    d += term(3 * quarter + i);
  }
  for (int64_t i = 4 * quarter; i < count; ++i) a += term(i);
  return (a + b) + (c + d);
}

template <typename Number>
ZR_INLINE void normalise(const NormRows& rows, int64_t begin, int64_t end) {
  const int64_t columns = rows.columns;
  const auto width = static_cast<float>(columns);
  const auto *weight = static_cast<const Number*>(rows.weight), *bias = static_cast<const Number*>(rows.bias);
  for (int64_t r = begin; r < end; ++r) {
    const auto* x = static_cast<const Number*>(rows.x) + r * columns;
    auto* y = static_cast<Number*>(rows.y) + r * columns;
    float mean = 0;
    if (rows.mean) mean = rows.mean[r] = sum_of(columns, [=](int64_t c) ZR_ALWAYS { return widen(x[c]); }) / width;
    const float squares = sum_of(columns, [=](int64_t c) ZR_ALWAYS { return (widen(x[c]) - mean) * (widen(x[c]) - mean); });
    const float scale = rows.scale[r] = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(columns) + rows.eps));
    if (bias) {
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) narrow((widen(x[c]) - mean) * scale * widen(weight[c]) + widen(bias[c]), y[c]);
    } else {
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) narrow(widen(x[c]) * scale * widen(weight[c]), y[c]);
    }
  }
}

template <typename Number>
ZR_INLINE void input_gradient(const NormGradientRows& rows, int64_t r) {
  const int64_t columns = rows.columns, half = columns / 2;
  const auto width = static_cast<float>(columns);
  const auto* weight = static_cast<const Number*>(rows.weight);
  const auto *gradient = static_cast<const Number*>(rows.gradient) + r * columns, *x = static_cast<const Number*>(rows.x) + r * columns;
  auto* dx = static_cast<Number*>(rows.dx) + r * columns;
  const float scale = rows.scale[r], mean = rows.mean ? rows.mean[r] : 0.0f;
  float a = 0, b = 0, c = 0, d = 0;  // two streams of mean(g), two of mean(g z)
#pragma omp simd reduction(+ : a, b, c, d)
  for (int64_t i = 0; i < half; ++i) {
    const float g = widen(gradient[i]) * widen(weight[i]), h = widen(gradient[half + i]) * widen(weight[half + i]);
    a += g;
    b += h;
    c += g * (widen(x[i]) - mean);
    d += h * (widen(x[half + i]) - mean);
  }
  for (int64_t i = 2 * half; i < columns; ++i) {
    const float g = widen(gradient[i]) * widen(weight[i]);
    a += g;
    c += g * (widen(x[i]) - mean);
  }
  const float offset = rows.mean ? (a + b) / width : 0.0f, slope = (c + d) / width * scale * scale;
  const auto at = [=](int64_t i) ZR_ALWAYS { return scale * (widen(gradient[i]) * widen(weight[i]) - offset - (widen(x[i]) - mean) * slope); };
  if (rows.stream) {
    const auto* stream = static_cast<const Number*>(rows.stream) + r * columns;
#pragma omp simd
    for (int64_t i = 0; i < columns; ++i) narrow(at(i) + widen(stream[i]), dx[i]);
  } else {
#pragma omp simd
    for (int64_t i = 0; i < columns; ++i) narrow(at(i), dx[i]);
  }
}

template <typename Number>
ZR_INLINE void add_to_sums(const NormGradientRows& rows, int64_t r, float* weight_sums, float* bias_sums) {
  const auto *gradient = static_cast<const Number*>(rows.gradient) + r * rows.columns, *x = static_cast<const Number*>(rows.x) + r * rows.columns;
  const float scale = rows.scale[r], mean = rows.mean ? rows.mean[r] : 0.0f;
  if (weight_sums) {
#pragma omp simd
    for (int64_t c = 0; c < rows.columns; ++c) weight_sums[c] += widen(gradient[c]) * ((widen(x[c]) - mean) * scale);
  }
  if (bias_sums) {
#pragma omp simd
    for (int64_t c = 0; c < rows.columns; ++c) bias_sums[c] += widen(gradient[c]);
  }
}

}  // namespace

ZR_FOR_EACH_CPU
void normalise_rows(const NormRows& rows, int64_t begin, int64_t end) {
  with_number(rows.dtype, [&](auto zero) ZR_ALWAYS { normalise<decltype(zero)>(rows, begin, end); });
}

ZR_FOR_EACH_CPU
void norm_gradient_rows(const NormGradientRows& rows, int64_t begin, int64_t end, float* weight_sums, float* bias_sums) {
  with_number(rows.dtype, [&](auto zero) ZR_ALWAYS {
    using Number = decltype(zero);
    for (int64_t r = begin; r < end; ++r) {
      if (rows.dx) input_gradient<Number>(rows, r);
      add_to_sums<Number>(rows, r, weight_sums, bias_sums);
    }
  });
}

}  // namespace zerorun::ops
