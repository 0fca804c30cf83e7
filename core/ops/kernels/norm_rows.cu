#include "core/gpu/reduce.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/kernels/norm_rows.h"

namespace zerorun::ops {
namespace {

using namespace gpu;

constexpr int64_t kNarrow = 1024;  // up to so many columns a warp has a row, beyond them a block

// Runs body(group, c) for the columns of a row, shared out over its team.
template <typename Team, int kCount, typename Body>
__device__ void for_columns(int64_t columns, Body&& body) {
  for (int64_t c = int64_t{Team::rank()} * kCount; c < columns; c += int64_t{Team::size()} * kCount) body(c);
}

// Three readings of a row, of which the second and third find it in the cache.
template <typename Number, int kCount, typename Team>
__global__ void __launch_bounds__(kThreads) normalise(NormRows rows, int64_t count) {
  __shared__ float shared[kThreads / kWarp];
  const int64_t columns = rows.columns;
  const auto width = static_cast<float>(columns);
  const auto *weight = static_cast<const Number*>(rows.weight), *bias = static_cast<const Number*>(rows.bias);
  for (int64_t r = Team::first_row(); r < count; r += Team::rows_at_once()) {
    const auto* x = static_cast<const Number*>(rows.x) + r * columns;
    auto* y = static_cast<Number*>(rows.y) + r * columns;
    float mean = 0, squares = 0;
    if (rows.mean) {
      for_columns<Team, kCount>(columns, [&](int64_t c) {
        float values[kCount];
        load(x + c, values);
        for (int i = 0; i < kCount; ++i) mean += values[i];
      });
      mean = Team::template over<Add>(mean, shared) / width;
    }
    for_columns<Team, kCount>(columns, [&](int64_t c) {
      float values[kCount];
      load(x + c, values);
      for (int i = 0; i < kCount; ++i) squares += (values[i] - mean) * (values[i] - mean);
    });
    squares = Team::template over<Add>(squares, shared);
    const auto scale = static_cast<float>(1 / sqrt(squares / static_cast<double>(columns) + rows.eps));
    if (Team::rank() == 0) {
      if (rows.mean) rows.mean[r] = mean;
      rows.scale[r] = scale;
    }
    for_columns<Team, kCount>(columns, [&](int64_t c) {
      float values[kCount], factors[kCount], offsets[kCount] = {};
      load(x + c, values);
      load(weight + c, factors);
      if (bias) load(bias + c, offsets);
      for (int i = 0; i < kCount; ++i) values[i] = (values[i] - mean) * scale * factors[i] + offsets[i];
      store(values, y + c);
    });
  }
}

template <typename Number, int kCount, typename Team>
__global__ void __launch_bounds__(kThreads) input_gradient(NormGradientRows rows, int64_t count) {
  __shared__ float shared[kThreads / kWarp];
  const int64_t columns = rows.columns;
  const auto width = static_cast<float>(columns);
  const auto* weight = static_cast<const Number*>(rows.weight);
  for (int64_t r = Team::first_row(); r < count; r += Team::rows_at_once()) {
    const auto *gradient = static_cast<const Number*>(rows.gradient) + r * columns, *x = static_cast<const Number*>(rows.x) + r * columns;
    const auto* stream = rows.stream ? static_cast<const Number*>(rows.stream) + r * columns : nullptr;
    auto* dx = static_cast<Number*>(rows.dx) + r * columns;
    const float scale = rows.scale[r], mean = rows.mean ? rows.mean[r] : 0.0f;
    // g and x - mean from column c on.
    const auto read = [&](int64_t c, float (&g)[kCount], float (&apart)[kCount]) {
      float factors[kCount];
      load(gradient + c, g);
      load(weight + c, factors);
      load(x + c, apart);
      for (int i = 0; i < kCount; ++i) {
        g[i] *= factors[i];
        apart[i] -= mean;
      }
    };
    float sum = 0, product = 0;
    for_columns<Team, kCount>(columns, [&](int64_t c) {
      float g[kCount], apart[kCount];
      read(c, g, apart);
      for (int i = 0; i < kCount; ++i) {
        sum += g[i];
        product += g[i] * apart[i];
      }
    });
    const float offset = rows.mean ? Team::template over<Add>(sum, shared) / width : 0.0f;
    const float slope = Team::template over<Add>(product, shared) / width * scale * scale;
    for_columns<Team, kCount>(columns, [&](int64_t c) {
      float g[kCount], apart[kCount], streamed[kCount] = {};
      read(c, g, apart);
      if (stream) load(stream + c, streamed);
      for (int i = 0; i < kCount; ++i) g[i] = scale * (g[i] - offset - apart[i] * slope) + streamed[i];
      store(g, dx + c);
    });
  }
}

// A thread has kCount columns of a block of rows, and adds them in order, as the processor does.
template <typename Number, int kCount>
__global__ void __launch_bounds__(kThreads) add_to_sums(NormGradientRows rows, int64_t count, NormSums sums) {
  const int64_t columns = rows.columns, groups = columns / kCount;
  for_each_group<1>(groups * sums.blocks, [&](auto, int64_t task) {
    const int64_t block = task / groups, c = task % groups * kCount;
    const int64_t end = (block + 1) * sums.block_rows < count ? (block + 1) * sums.block_rows : count;
    float of_weight[kCount] = {}, of_bias[kCount] = {};
#pragma unroll 4
    for (int64_t r = block * sums.block_rows; r < end; ++r) {
      float gradient[kCount], x[kCount];
      load(static_cast<const Number*>(rows.gradient) + r * columns + c, gradient);
      load(static_cast<const Number*>(rows.x) + r * columns + c, x);
      const float scale = rows.scale[r], mean = rows.mean ? rows.mean[r] : 0.0f;
      for (int i = 0; i < kCount; ++i) {
        of_weight[i] += gradient[i] * ((x[i] - mean) * scale);
        of_bias[i] += gradient[i];
      }
    }
    if (sums.weight) store(of_weight, sums.weight + block * columns + c);
    if (sums.bias) store(of_bias, sums.bias + block * columns + c);
  });
}

// Runs body(group, team): how many columns are loaded at once, and who has a row.
template <typename Number, typename Body>
void with_team(int64_t columns, bool in_groups, Body&& body) {
  with_group<kGroup<Number>>(in_groups && columns % kGroup<Number> == 0, [&](auto group) {
    if (columns <= kNarrow) return body(group, Team<false>{});
    body(group, Team<true>{});
  });
}

template <bool kWholeBlock>
unsigned int blocks_of(Team<kWholeBlock>, int64_t rows) {
  return blocks_for(rows, kWholeBlock ? 1 : kThreads / kWarp);
}

}  // namespace

void normalise_rows(const NormRows& rows, int64_t count, GpuStream stream) {
  with_number(rows.dtype, [&](auto zero) {
    using Number = decltype(zero);
    with_team<Number>(rows.columns, aligned({rows.x, rows.weight, rows.bias, rows.y}), [&](auto group, auto team) {
      launch("normalise_rows", normalise<Number, decltype(group)::value, decltype(team)>, blocks_of(team, count), kThreads, stream, rows, count);
    });
  });
}

void norm_gradient_rows(const NormGradientRows& rows, int64_t count, const NormSums& sums, GpuStream stream) {
  with_number(rows.dtype, [&](auto zero) {
    using Number = decltype(zero);
    if (rows.dx) {
      with_team<Number>(rows.columns, aligned({rows.gradient, rows.x, rows.weight, rows.stream, rows.dx}), [&](auto group, auto team) {
        launch("norm_gradient_rows", input_gradient<Number, decltype(group)::value, decltype(team)>, blocks_of(team, count), kThreads, stream, rows, count);
      });
    }
    if (!sums.weight && !sums.bias) return;
    constexpr int kCount = 4 / sizeof(Number);  // columns are few: many threads, each with 4 bytes at a time
    with_group<kCount>(rows.columns % kCount == 0 && aligned({rows.gradient, rows.x, sums.weight, sums.bias}), [&](auto group) {
      constexpr int kColumns = decltype(group)::value;
      const unsigned int blocks = blocks_for(rows.columns / kColumns * sums.blocks, kThreads);
      launch("the sums of norm_gradient_rows", add_to_sums<Number, kColumns>, blocks, kThreads, stream, rows, count, sums);
    });
  });
}

}  // namespace zerorun::ops
