// Row kernels of the ops that work number by number, over tensors whose last dimension is contiguous. Each computes in fp32 and
// rounds once (number.h); callers share the range out to threads. What takes a stream is the same on a GPU, over all of the range.
#pragma once
#include <cstdint>

#include "core/gpu/handle.h"

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
// `partial`: [blocks, columns]; a block sums the rows of its equal share.
void sum_columns(const ColumnSums& sums, float* partial, int64_t blocks, GpuStream stream);

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
void swiglu_part(const SwigluPart& part, int64_t count, GpuStream stream);
void swiglu_gradient_part(const SwigluPart& part, int64_t count, GpuStream stream);

// The pairs of rotary.h turned by the angles of their position.
struct Turns {
  c10::ScalarType dtype;
  int64_t seq_len, width, head_dim;
  const float* table;  // of each position: cosines, then sines
  const void* in;
  void* out;
};
void turn_rows(const Turns& turns, int64_t begin, int64_t end);
void turn_rows(const Turns& turns, int64_t rows, GpuStream stream);

// table[t, 0, i] = cos((first_position + t) theta^(-i / half)), table[t, 1, i] = its sine, negative to turn back. In fp64, rounded.
struct TurnTable {
  float* table;  // [positions, 2, half]
  int64_t positions, first_position, half;
  double theta;
  bool back;
};
void fill_turns(const TurnTable& table, int64_t begin, int64_t end);  // positions
void fill_turns(const TurnTable& table, GpuStream stream);

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

// On a GPU: weight[token[r]] += row r of the gradient, for all rows: those of one token in order, added to the weight once. Rows of a token outside of the vocabulary
// are left out.
struct TokenRows {
  c10::ScalarType dtype;
  int64_t rows, columns, vocabulary;
  const int64_t *token, *order;  // of each row; the rows by token, and those of one token in order
  const void* gradient;
  void* weight;
};
void add_token_rows(const TokenRows& rows, GpuStream stream);

// On a GPU: sum[t] += row t of every sample, for rows t of seq_len.
struct PositionRows {
  c10::ScalarType dtype;
  int64_t samples, seq_len, columns;
  const void* gradient;
  void* sum;
};
void add_position_rows(const PositionRows& rows, GpuStream stream);

// Rows of an embedding.
struct Lookup {
  c10::ScalarType dtype;
  int64_t columns, seq_len;
  const int64_t* token;
  const void *by_token, *by_position;  // the latter from the first position on, or none
  void* out;
};
void look_up_rows(const Lookup& lookup, int64_t begin, int64_t end);
// A token outside of the `vocabulary` gives a row that is not a number.
void look_up_rows(const Lookup& lookup, int64_t rows, int64_t vocabulary, GpuStream stream);

}  // namespace zerorun::ops
