#include "core/ops/kernels/row_kernels.h"

#include <algorithm>
#include <cmath>

#include "core/ops/kernels/exponential.h"
#include "core/ops/kernels/number.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kTile = 256, kBlock = 64;

// total[c] = sum over r of gradient[r, first + c].
template <typename Number>
ZR_INLINE void sum_tile(const ColumnSums& sums, int64_t first, int64_t count, float* total) {
  for (int64_t block = 0; block < sums.rows; block += kBlock) {
    float part[kTile] = {};
    for (int64_t r = block; r < std::min(block + kBlock, sums.rows); ++r) {
      const auto* gradient = static_cast<const Number*>(sums.gradient) + r * sums.columns + first;
#pragma omp simd
      for (int64_t c = 0; c < count; ++c) part[c] += widen(gradient[c]);
    }
    for (int64_t c = 0; c < count; ++c) total[c] += part[c];
  }
}

// sum += total, rounded once.
template <typename Number>
ZR_INLINE void add_tile(const float* total, Number* sum, int64_t count) {
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) narrow(widen(sum[c]) + total[c], sum[c]);
}

}  // namespace

ZR_FOR_EACH_CPU
void sum_columns(const ColumnSums& sums, int64_t begin, int64_t end) {
  for (int64_t first = begin; first < end; first += kTile) {
    const int64_t count = std::min(kTile, end - first);
    float total[kTile] = {};
    with_number(sums.dtype, [&](auto zero) ZR_ALWAYS { sum_tile<decltype(zero)>(sums, first, count, total); });
    with_number(sums.sum_dtype, [&](auto zero) ZR_ALWAYS { add_tile(total, static_cast<decltype(zero)*>(sums.sum) + first, count); });
  }
}

ZR_FOR_EACH_CPU
void swiglu_part(const SwigluPart& part, int64_t begin, int64_t end) {
  with_number(part.dtype, [&](auto zero) ZR_ALWAYS {
    using Number = decltype(zero);
    const auto *gate = static_cast<const Number*>(part.gate), *up = static_cast<const Number*>(part.up);
    auto* out = static_cast<Number*>(part.out);
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) narrow(widen(gate[i]) * sigmoid(widen(gate[i])) * widen(up[i]), out[i]);
  });
}

ZR_FOR_EACH_CPU
void swiglu_gradient_part(const SwigluPart& part, int64_t begin, int64_t end) {
  with_number(part.dtype, [&](auto zero) ZR_ALWAYS {
    using Number = decltype(zero);
    const auto *gate = static_cast<const Number*>(part.gate), *up = static_cast<const Number*>(part.up);
    const auto* gradient = static_cast<const Number*>(part.gradient);
    auto *dgate = static_cast<Number*>(part.dgate), *dup = static_cast<Number*>(part.dup);
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float g = widen(gate[i]), d = widen(gradient[i]), s = sigmoid(g);
      narrow(d * widen(up[i]) * s * (1 + g * (1 - s)), dgate[i]);
      narrow(d * g * s, dup[i]);
    }
  });
}

ZR_FOR_EACH_CPU
void turn_rows(const Turns& turns, int64_t begin, int64_t end) {
  with_number(turns.dtype, [&](auto zero) ZR_ALWAYS {
    using Number = decltype(zero);
    const int64_t half = turns.head_dim / 2;
    for (int64_t row = begin; row < end; ++row) {
      const float *cosine = turns.table + 2 * (row % turns.seq_len) * half, *sine = cosine + half;
      for (int64_t first = row * turns.width; first < (row + 1) * turns.width; first += turns.head_dim) {
        const auto* in = static_cast<const Number*>(turns.in) + first;
        auto* out = static_cast<Number*>(turns.out) + first;
#pragma omp simd
        for (int64_t i = 0; i < half; ++i) {
          const float a = widen(in[i]), b = widen(in[half + i]);
          narrow(a * cosine[i] - b * sine[i], out[i]);
          narrow(b * cosine[i] + a * sine[i], out[half + i]);
        }
      }
    }
  });
}

void fill_turns(const TurnTable& table, int64_t begin, int64_t end) {
  const int64_t half = table.half;
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(table.first_position + t) * std::pow(table.theta, -static_cast<double>(i) / static_cast<double>(half));
      table.table[(2 * t) * half + i] = static_cast<float>(std::cos(angle));
      table.table[(2 * t + 1) * half + i] = static_cast<float>(table.back ? -std::sin(angle) : std::sin(angle));
    }
  }
}

ZR_FOR_EACH_CPU
void add_rows(const RowSum& rows, int64_t begin, int64_t end) {
  with_number(rows.dtype, [&](auto zero) ZR_ALWAYS {
    using Number = decltype(zero);
    for (int64_t tile = begin; tile < end; tile += kTile) {
      const int64_t count = std::min(kTile, end - tile);
      float total[kTile] = {};
      for (int64_t i = 0; i < rows.count; ++i) {
        const int64_t row = rows.order ? rows.order[i] : rows.first + i * rows.step;
        const auto* from = static_cast<const Number*>(rows.gradient) + row * rows.columns + tile;
#pragma omp simd
        for (int64_t c = 0; c < count; ++c) total[c] += widen(from[c]);
      }
      add_tile(total, static_cast<Number*>(rows.sum) + tile, count);
    }
  });
}

ZR_FOR_EACH_CPU
void look_up_rows(const Lookup& lookup, int64_t begin, int64_t end) {
  with_number(lookup.dtype, [&](auto zero) ZR_ALWAYS {
    using Number = decltype(zero);
    const int64_t columns = lookup.columns;
    for (int64_t i = begin; i < end; ++i) {
      const auto* a = static_cast<const Number*>(lookup.by_token) + lookup.token[i] * columns;
      auto* out = static_cast<Number*>(lookup.out) + i * columns;
      if (!lookup.by_position) {
        std::copy(a, a + columns, out);
        continue;
      }
      const auto* b = static_cast<const Number*>(lookup.by_position) + i % lookup.seq_len * columns;
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) narrow(widen(a[c]) + widen(b[c]), out[c]);
    }
  });
}

}  // namespace zerorun::ops
