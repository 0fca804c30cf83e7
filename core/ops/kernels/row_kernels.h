// Row kernels of the ops that work number by number, over tensors whose last dimension is contiguous. Each computes in fp32 and
// rounds once (number.h); callers share the range out to threads.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>

namespace zerorun::ops {

// sum[c] += sum over r of gradient[r, c] for columns begin to end. Rows are added in order in blocks, the blocks to each other, and
// that to `sum` once.
struct ColumnSums {
  c10::ScalarType dtype, sum_dtype;
  int64_t rows, columns;
  const void* gradient;
  void* sum;
};
void sum_columns(const ColumnSums& sums, int64_t begin, int64_t end);

// silu(gate) up, and its gradients.
struct SwigluPart {
  c10::ScalarType dtype;
  const void *gate, *up;
  void* out;
  const void* gradient;
  void *dgate, *dup;
};
void swiglu_part(const SwigluPart& part, int64_t begin, int64_t end);
void swiglu_gradient_part(const SwigluPart& part, int64_t begin, int64_t end);

// The pairs of rotary.h turned by the angles of their position.
struct Turns {
  c10::ScalarType dtype;
  int64_t seq_len, width, head_dim;
  const float* table;  // of each position: cosines, then sines
  const void* in;
  void* out;
};
void turn_rows(const Turns& turns, int64_t begin, int64_t end);

// Rows of a gradient whose sum belongs to one row of a weight.
struct RowSum {
  c10::ScalarType dtype;
  int64_t columns;
  const void* gradient;
  const int64_t* order;  // the rows; without it first, first + step, ...
  int64_t first, step, count;
  void* sum;
};
void add_rows(const RowSum& rows, int64_t begin, int64_t end);

// Rows of an embedding.
struct Lookup {
  c10::ScalarType dtype;
  int64_t columns, seq_len;
  const int64_t* token;
  const void *by_token, *by_position;  // the latter from the first position on, or none
  void* out;
};
void look_up_rows(const Lookup& lookup, int64_t begin, int64_t end);

}  // namespace zerorun::ops
