#include "core/ops/tile_packing.h"

#include <algorithm>

#include "core/ops/number.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kBlock = 32;  // of a transposition: its lines stay in the first cache

// set(r, c, number) for every number of the tile.
template <typename Number, typename Set>
ZR_INLINE void for_each_number(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, Set&& set) {
  const auto* from = reinterpret_cast<const Number*>(matrix.data) + row * matrix.row_stride + column * matrix.column_stride;
  if (matrix.column_stride == 1) {
    for (int64_t r = 0; r < rows; ++r) {
      const auto* line = from + r * matrix.row_stride;
#pragma omp simd
      for (int64_t c = 0; c < columns; ++c) set(r, c, line[c]);
    }
    return;
  }
  const int64_t stride = matrix.column_stride;
  for (int64_t block = 0; block < rows; block += kBlock) {
    const int64_t count = std::min(kBlock, rows - block);
    for (int64_t c = 0; c < columns; ++c) {
      const auto* line = from + block + c * stride;
      for (int64_t r = 0; r < count; ++r) set(block + r, c, line[r]);
    }
  }
}

}  // namespace

ZR_FOR_EACH_CPU
void widen_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, float* to, int64_t stride) {
  with_number(matrix.dtype, [&](auto zero) ZR_ALWAYS {
    for_each_number<decltype(zero)>(matrix, row, column, rows, columns,
                                    [=](int64_t r, int64_t c, auto number) ZR_ALWAYS { to[r * stride + c] = widen(number); });
  });
}

ZR_FOR_EACH_CPU
void copy_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, c10::BFloat16* to, int64_t stride) {
  auto* bits = reinterpret_cast<uint16_t*>(to);
  for_each_number<uint16_t>(matrix, row, column, rows, columns,
                            [=](int64_t r, int64_t c, uint16_t number) ZR_ALWAYS { bits[r * stride + c] = number; });
  if (columns % 2 == 0) return;
  for (int64_t r = 0; r < rows; ++r) bits[r * stride + columns] = 0;
}

ZR_FOR_EACH_CPU
void interleave_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, c10::BFloat16* to) {
  const auto* from = reinterpret_cast<const uint16_t*>(matrix.data) + row * matrix.row_stride + column * matrix.column_stride;
  const int64_t pairs = (rows + 1) / 2, down = matrix.row_stride, right = matrix.column_stride;
  auto* strip = reinterpret_cast<uint32_t*>(to);
  for (int64_t first = 0; first < columns; first += kStrip, strip += pairs * kStrip) {
    const int64_t width = std::min(kStrip, columns - first);
    if (right == 1) {
      for (int64_t p = 0; p < rows / 2; ++p) {
        const auto *low = from + 2 * p * down + first, *high = low + down;
#pragma omp simd
        for (int64_t c = 0; c < width; ++c) strip[p * kStrip + c] = low[c] | static_cast<uint32_t>(high[c]) << 16;
      }
    } else {
      for (int64_t block = 0; block < rows / 2; block += kBlock) {
        const int64_t end = std::min(block + kBlock, rows / 2);
        for (int64_t c = 0; c < width; ++c) {
          const auto* line = from + (first + c) * right;
          for (int64_t p = block; p < end; ++p) strip[p * kStrip + c] = line[2 * p] | static_cast<uint32_t>(line[2 * p + 1]) << 16;
        }
      }
    }
    if (rows % 2 == 0) continue;
    for (int64_t c = 0; c < width; ++c) strip[(pairs - 1) * kStrip + c] = from[(rows - 1) * down + (first + c) * right];
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
