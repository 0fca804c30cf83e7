// Tiles of matrices of bf16 or fp16 on their way into and out of a micro kernel.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace zerorun::ops {

// A matrix of which one stride is 1. Strides are in numbers.
struct PackedMatrix {
  const char* data;
  c10::ScalarType dtype;
  int64_t row_stride, column_stride;
};

// to[r * stride + c] = matrix[row + r, column + c], in fp32.
void widen_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, float* to, int64_t stride);

// The same in bf16; a last odd column is followed by zeros.
void copy_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, c10::BFloat16* to, int64_t stride);

// Two rows interleaved, number by number, in strips of kStrip columns: the layout that bf16 instructions take. A last odd row is
// interleaved with zeros. What lies beyond the last column is not written.
inline constexpr int64_t kStrip = 64;
void interleave_tile(const PackedMatrix& matrix, int64_t row, int64_t column, int64_t rows, int64_t columns, c10::BFloat16* to);

// out[row + r, column + c] = sums[r * stride + c] + bias[column + c], or plus what is there; rounded once.
struct StoredTile {
  c10::ScalarType dtype;
  char* out;
  int64_t row_stride;
  const void* bias;
  bool add;
};
void store_tile(const StoredTile& tile, const float* sums, int64_t stride, int64_t row, int64_t column, int64_t rows, int64_t columns);

}  // namespace zerorun::ops
