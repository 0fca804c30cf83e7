#include "core/ops/norm_rows.h"

#include <cmath>

#include "core/ops/number.h"

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
ZR_INLINE void input_gradient(const NormGradientRows& rows, int64_t begin, int64_t end) {
  const int64_t columns = rows.columns;
  const auto width = static_cast<float>(columns);
  const auto* weight = static_cast<const Number*>(rows.weight);
  for (int64_t r = begin; r < end; ++r) {
    const auto *gradient = static_cast<const Number*>(rows.gradient) + r * columns, *x = static_cast<const Number*>(rows.x) + r * columns;
    auto* dx = static_cast<Number*>(rows.dx) + r * columns;
    const float scale = rows.scale[r], mean = rows.mean ? rows.mean[r] : 0.0f;
    const auto g = [=](int64_t c) ZR_ALWAYS { return widen(gradient[c]) * widen(weight[c]); };
    const float offset = rows.mean ? sum_of(columns, g) / width : 0.0f;
    const float slope = sum_of(columns, [=](int64_t c) ZR_ALWAYS { return g(c) * (widen(x[c]) - mean); }) / width * scale * scale;
    if (rows.stream) {
      const auto* stream = static_cast<const Number*>(rows.stream) + r * columns;
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) narrow(scale * (g(c) - offset - (widen(x[c]) - mean) * slope) + widen(stream[c]), dx[c]);
    } else {
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) narrow(scale * (g(c) - offset - (widen(x[c]) - mean) * slope), dx[c]);
    }
  }
}

}  // namespace

ZR_FOR_EACH_CPU
void normalise_rows(const NormRows& rows, int64_t begin, int64_t end) {
  with_number(rows.dtype, [&](auto zero) ZR_ALWAYS { normalise<decltype(zero)>(rows, begin, end); });
}

ZR_FOR_EACH_CPU
void norm_gradient_rows(const NormGradientRows& rows, int64_t begin, int64_t end) {
  with_number(rows.dtype, [&](auto zero) ZR_ALWAYS { input_gradient<decltype(zero)>(rows, begin, end); });
}

}  // namespace zerorun::ops
