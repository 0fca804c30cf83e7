// The row kernels of embeddings: rows taken by token, and rows of gradients added by token or by position.
#include "core/gpu/reduce.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/kernels/row_kernels.h"

namespace zerorun::ops {
namespace {

using namespace gpu;

constexpr int kTokenThreads = 128;

// sum += total, rounded once.
template <int kCount, typename Number>
__device__ void add_to(const float (&total)[kCount], Number* sum) {
  float values[kCount];
  load(sum, values);
  for (int i = 0; i < kCount; ++i) values[i] += total[i];
  store(values, sum);
}

// A warp goes over some columns of one token: that of order[first], where it is the token's first row. Many rows may be one token's, which are added one after the other:
// many are loaded at a time.
template <typename Number, int kCount>
__global__ void __launch_bounds__(kTokenThreads) add_tokens(TokenRows rows) {
  constexpr int64_t kColumns = int64_t{kWarp} * kCount;  // of a warp
  const int64_t parts = (rows.columns + kColumns - 1) / kColumns;
  using Warp = Team<false>;
  for (int64_t task = Warp::first_row(); task < rows.rows * parts; task += Warp::rows_at_once()) {
    const int64_t first = task / parts, c = task % parts * kColumns + int64_t{Warp::rank()} * kCount;
    const int64_t token = rows.token[rows.order[first]];
    if (token < 0 || token >= rows.vocabulary) continue;
    if (first > 0 && rows.token[rows.order[first - 1]] == token) continue;
    // The token's rows are [first, end): steps that double until they are past its end, then halves.
    int64_t inside = first, end = first + 1;
    for (int64_t step = 1; end < rows.rows && rows.token[rows.order[end]] == token; step *= 2) {
      inside = end;
      end = end + step < rows.rows ? end + step : rows.rows;
    }
    while (inside + 1 < end) {
      const int64_t middle = inside + (end - inside) / 2;
      if (rows.token[rows.order[middle]] == token) {
        inside = middle;
      } else {
        end = middle;
      }
    }
    if (c >= rows.columns) continue;
    float total[kCount] = {};
#pragma unroll 16
    for (int64_t k = first; k < end; ++k) {
      float values[kCount];
      load(static_cast<const Number*>(rows.gradient) + rows.order[k] * rows.columns + c, values);
      for (int i = 0; i < kCount; ++i) total[i] += values[i];
    }
    add_to(total, static_cast<Number*>(rows.weight) + token * rows.columns + c);
  }
}

template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) add_positions(PositionRows rows) {
  const int64_t size = rows.seq_len * rows.columns;
  for_each_group<kCount>(size, [&](auto group, int64_t i) {
    constexpr int kHere = decltype(group)::value;
    float total[kHere] = {};
#pragma unroll 4
    for (int64_t sample = 0; sample < rows.samples; ++sample) {
      float values[kHere];
      load(static_cast<const Number*>(rows.gradient) + sample * size + i, values);
      for (int k = 0; k < kHere; ++k) total[k] += values[k];
    }
    add_to(total, static_cast<Number*>(rows.sum) + i);
  });
}

template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) look_up(Lookup lookup, int64_t rows, int64_t vocabulary) {
  const int64_t groups = lookup.columns / kCount;
  for_each_group<1>(rows * groups, [&](auto, int64_t task) {
    const int64_t row = task / groups, c = task % groups * kCount, token = lookup.token[row];
    const bool known = token >= 0 && token < vocabulary;
    float values[kCount], by_position[kCount] = {};
    for (int i = 0; i < kCount; ++i) values[i] = widen_bf16(0x7fc0);  // not a number
    if (known) load(static_cast<const Number*>(lookup.by_token) + token * lookup.columns + c, values);
    if (lookup.by_position) {
      load(static_cast<const Number*>(lookup.by_position) + row % lookup.seq_len * lookup.columns + c, by_position);
      for (int i = 0; i < kCount; ++i) values[i] += by_position[i];
    }
    store(values, static_cast<Number*>(lookup.out) + row * lookup.columns + c);
  });
}

}  // namespace

void add_token_rows(const TokenRows& rows, GpuStream stream) {
  if (rows.rows == 0) return;
  with_number(rows.dtype, [&](auto zero) {
    using Number = decltype(zero);
    constexpr int kColumns = 4 / sizeof(Number);  // few columns are wanted of a thread: there are blocks of many rows
    with_group<kColumns>(rows.columns % kColumns == 0 && aligned({rows.gradient, rows.weight}), [&](auto group) {
      constexpr int kCount = decltype(group)::value;
      const int64_t warps = rows.rows * ((rows.columns + kWarp * kCount - 1) / (kWarp * kCount));
      launch("add_token_rows", add_tokens<Number, kCount>, blocks_for(warps, kTokenThreads / kWarp), kTokenThreads, stream, rows);
    });
  });
}

void add_position_rows(const PositionRows& rows, GpuStream stream) {
  with_number(rows.dtype, [&](auto zero) {
    using Number = decltype(zero);
    constexpr int kColumns = 4 / sizeof(Number);
    const int64_t size = rows.seq_len * rows.columns;
    with_group<kColumns>(size % kColumns == 0 && aligned({rows.gradient, rows.sum}), [&](auto group) {
      constexpr int kCount = decltype(group)::value;
      launch("add_position_rows", add_positions<Number, kCount>, blocks_for(size / kCount, kThreads), kThreads, stream, rows);
    });
  });
}

void look_up_rows(const Lookup& lookup, int64_t rows, int64_t vocabulary, GpuStream stream) {
  with_number(lookup.dtype, [&](auto zero) {
    using Number = decltype(zero);
    const bool in_groups = lookup.columns % kGroup<Number> == 0 && aligned({lookup.by_token, lookup.by_position, lookup.out});
    with_group<kGroup<Number>>(in_groups, [&](auto group) {
      constexpr int kCount = decltype(group)::value;
      launch("look_up_rows", look_up<Number, kCount>, blocks_for(rows * (lookup.columns / kCount), kThreads), kThreads, stream, lookup, rows, vocabulary);
    });
  });
}

}  // namespace zerorun::ops
