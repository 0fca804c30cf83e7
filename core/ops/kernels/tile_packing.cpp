#include "core/ops/kernels/tile_packing.h"

#include <algorithm>
#include <cstring>

#include "core/ops/kernels/number.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kLanes = 8;

using Words = uint32_t __attribute__((vector_size(4 * kLanes)));  // fp32 numbers, or pairs of bf16
using Square = Words[kLanes];

// Exchanges the parts off the diagonal of every square of 2 kDistance rows and lanes.
template <uint32_t kDistance>
ZR_INLINE void exchange(Square& rows) {
  Words upper, lower;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    upper[lane] = lane & kDistance ? kLanes + lane - kDistance : lane;
    lower[lane] = lane & kDistance ? kLanes + lane : lane + kDistance;
  }
#pragma GCC unroll 8
  for (uint32_t row = 0; row < kLanes; ++row) {
    if (row & kDistance) continue;
    const Words a = rows[row], b = rows[row + kDistance];
    rows[row] = __builtin_shuffle(a, b, upper);
    rows[row + kDistance] = __builtin_shuffle(a, b, lower);
  }
}

ZR_INLINE void transpose(Square& rows) {
  exchange<1>(rows);
  exchange<2>(rows);
  exchange<4>(rows);
}

template <typename To>
ZR_INLINE void store(const Square& rows, To* to, int64_t stride) {
#pragma GCC unroll 8
  for (int64_t i = 0; i < kLanes; ++i) std::memcpy(to + i * stride, &rows[i], sizeof(Words));
}

template <typename Number>
ZR_INLINE const Number* place_in(const PackedMatrix& matrix, int64_t row, int64_t column) {
  return reinterpret_cast<const Number*>(matrix.data) + row * matrix.row_stride + column * matrix.column_stride;
}

int64_t whole(int64_t count, int64_t multiple) { return count / multiple * multiple; }

// set(r, c) for what lies beyond the first whole_rows and whole_columns.
template <typename Set>
ZR_INLINE void for_the_rest(int64_t rows, int64_t columns, int64_t whole_rows, int64_t whole_columns, Set&& set) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = c < whole_columns ? whole_rows : 0; r < rows; ++r) set(r, c);
  }
}

template <typename Number>
ZR_INLINE void widen_rows(const Number* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t stride) {
  for (int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) to[r * stride + c] = widen(from[r * from_stride + c]);
  }
}

// from[c * from_stride + r] to to[r * stride + c].
template <typename Number>
ZR_INLINE void widen_transposed(const Number* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t stride) {
  const int64_t whole_rows = whole(rows, kLanes), whole_columns = whole(columns, kLanes);
  for (int64_t r = 0; r < whole_rows; r += kLanes) {
    for (int64_t c = 0; c < whole_columns; c += kLanes) {
      float lines[kLanes][kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        for (int64_t j = 0; j < kLanes; ++j) lines[i][j] = widen(from[(c + i) * from_stride + r + j]);
      }
      Square square;
      std::memcpy(&square, lines, sizeof(square));
      transpose(square);
      store(square, to + r * stride + c, stride);
    }
  }
  for_the_rest(rows, columns, whole_rows, whole_columns,
               [=](int64_t r, int64_t c) ZR_ALWAYS { to[r * stride + c] = widen(from[c * from_stride + r]); });
}

ZR_INLINE uint32_t pair_of(uint16_t low, uint16_t high) { return low | static_cast<uint32_t>(high) << 16; }

// The same for bf16, two columns at a time.
ZR_INLINE void copy_transposed(const uint16_t* from, int64_t from_stride, int64_t rows, int64_t columns, uint16_t* to, int64_t stride) {
  const int64_t whole_rows = whole(rows, kLanes), whole_columns = whole(columns, 2 * kLanes);
  for (int64_t r = 0; r < whole_rows; r += kLanes) {
    for (int64_t c = 0; c < whole_columns; c += 2 * kLanes) {
      uint32_t lines[kLanes][kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        const auto* low = from + (c + 2 * i) * from_stride + r;
        for (int64_t j = 0; j < kLanes; ++j) lines[i][j] = pair_of(low[j], low[from_stride + j]);
      }
      Square square;
      std::memcpy(&square, lines, sizeof(square));
      transpose(square);
      store(square, to + r * stride + c, stride);
    }
  }
  for_the_rest(rows, columns, whole_rows, whole_columns,
               [=](int64_t r, int64_t c) ZR_ALWAYS { to[r * stride + c] = from[c * from_stride + r]; });
}

// One strip of `pairs` pairs of rows; `down` and `right` are strides.
ZR_INLINE void interleave_strip(const uint16_t* from, int64_t down, int64_t right, int64_t pairs, int64_t columns, uint32_t* to) {
  if (right == 1) {
    for (int64_t p = 0; p < pairs; ++p) {
      const auto *low = from + 2 * p * down, *high = low + down;
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) to[p * kStrip + c] = pair_of(low[c], high[c]);
    }
    return;
  }
  const int64_t whole_pairs = whole(pairs, kLanes), whole_columns = whole(columns, kLanes);
  for (int64_t c = 0; c < whole_columns; c += kLanes) {
    for (int64_t p = 0; p < whole_pairs; p += kLanes) {
      Square square;
#pragma GCC unroll 8
      for (int64_t i = 0; i < kLanes; ++i) std::memcpy(&square[i], from + (c + i) * right + 2 * p, sizeof(Words));
      transpose(square);
      store(square, to + p * kStrip + c, kStrip);
    }
  }
  for_the_rest(pairs, columns, whole_pairs, whole_columns, [=](int64_t p, int64_t c) ZR_ALWAYS {
    const auto* line = from + c * right + 2 * p;
    to[p * kStrip + c] = pair_of(line[0], line[1]);
  });
}

}  // namespace

ZR_FOR_EACH_CPU
void widen_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, float* to, int64_t stride) {
  with_number(matrix.dtype, [&](auto zero) ZR_ALWAYS {
    const auto* from = place_in<decltype(zero)>(matrix, row, column);
    if (matrix.column_stride == 1) {
      widen_rows(from, matrix.row_stride, rows, columns, to, stride);
    } else {
      widen_transposed(from, matrix.column_stride, rows, columns, to, stride);
    }
  });
}

ZR_FOR_EACH_CPU
void copy_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, c10::BFloat16* to, int64_t stride) {
  auto* bits = reinterpret_cast<uint16_t*>(to);
  const auto* from = place_in<uint16_t>(matrix, row, column);
  if (matrix.column_stride == 1) {
    for (int64_t r = 0; r < rows; ++r) std::memcpy(bits + r * stride, from + r * matrix.row_stride, static_cast<size_t>(2 * columns));
  } else {
    copy_transposed(from, matrix.column_stride, rows, columns, bits, stride);
  }
  if (columns % 2 == 0) return;
  for (int64_t r = 0; r < rows; ++r) bits[r * stride + columns] = 0;
}

ZR_FOR_EACH_CPU
void interleave_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, c10::BFloat16* to) {
  const int64_t pairs = (rows + 1) / 2, down = matrix.row_stride, right = matrix.column_stride;
  auto* strip = reinterpret_cast<uint32_t*>(to);
  for (int64_t first = 0; first < columns; first += kStrip, strip += pairs * kStrip) {
    const int64_t width = std::min(kStrip, columns - first);
    const auto* from = place_in<uint16_t>(matrix, row, column + first);
    interleave_strip(from, down, right, rows / 2, width, strip);
    if (rows % 2 == 0) continue;
    for (int64_t c = 0; c < width; ++c) strip[(pairs - 1) * kStrip + c] = from[(rows - 1) * down + c * right];
  }
}

ZR_FOR_EACH_CPU
void store_tile(const StoredTile& tile, const float* sums, int64_t stride, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  with_number(tile.dtype, [&](auto zero) ZR_ALWAYS {
    using Number = decltype(zero);
    const auto* bias = tile.bias ? static_cast<const Number*>(tile.bias) + column : nullptr;
    for (int64_t r = 0; r < rows; ++r) {
      auto* out = reinterpret_cast<Number*>(tile.out) + (row + r) * tile.row_stride + column;
      const float* from = sums + r * stride;
      if (tile.add) {
#pragma omp simd
        for (int64_t c = 0; c < columns; ++c) narrow(from[c] + widen(out[c]), out[c]);
      } else if (bias) {
#pragma omp simd
        for (int64_t c = 0; c < columns; ++c) narrow(from[c] + widen(bias[c]), out[c]);
      } else {
#pragma omp simd
        for (int64_t c = 0; c < columns; ++c) narrow(from[c], out[c]);
      }
    }
  });
}

}  // namespace zerorun::ops
