#include "core/gpu/reduce.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/kernels/norm_rows.h"

namespace zerorun::ops {
namespace {

using namespace gpu;

// A warp has a row where its threads have so many groups of columns at most, or, where columns are taken one at a time, up to so many columns; beyond, a block has it.
constexpr int64_t kMostOfWarp = 8, kNarrow = 1024;

// A row, shared out over its team in groups of kCount columns. A thread keeps its groups in registers, at most kGroups of them, all of which are loaded before
// the first is used; with kGroups = 0 it has any number, and loads them for every reading, after the first from the cache.
template <typename Number, int kCount, typename Team, int kGroups>
class Row {
 public:
  __device__ Row(const Number* row, int64_t columns) : columns_(columns) {
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      if (begin(g) < columns) load(row + begin(g), values_[g]);
    }
  }

  // Runs body(c, values) for each group of the thread's, which begins at column c.
  template <typename Body>
  __device__ void each(Body&& body) {
    with(*this, [&](int64_t c, const float (&values)[kCount], const float (&)[kCount]) { body(c, values); });
  }
  // The same with those of another row of as many columns.
  template <typename Body>
  __device__ void with(const Row& other, Body&& body) {
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      if (begin(g) < columns_) body(begin(g), values_[g], other.values_[g]);
    }
  }

 private:
  __device__ static int64_t begin(int group) { return (int64_t{group} * Team::size() + Team::rank()) * kCount; }

  int64_t columns_;
  float values_[kGroups][kCount] = {};
};

template <typename Number, int kCount, typename Team>
class Row<Number, kCount, Team, 0> {
 public:
  __device__ Row(const Number* row, int64_t columns) : row_(row), columns_(columns) {}

  template <typename Body>
  __device__ void each(Body&& body) {
    for (int64_t c = int64_t{Team::rank()} * kCount; c < columns_; c += int64_t{Team::size()} * kCount) {
      float values[kCount];
      load(row_ + c, values);
      body(c, values);
    }
  }
  template <typename Body>
  __device__ void with(const Row& other, Body&& body) {
    each([&](int64_t c, const float (&values)[kCount]) {
      float others[kCount];
      load(other.row_ + c, others);
      body(c, values, others);
    });
  }

 private:
  const Number* row_;
  int64_t columns_;
};

template <typename Number, int kCount, typename Team, int kGroups>
__global__ void __launch_bounds__(kThreads) normalise(NormRows rows, int64_t count) {
  __shared__ float shared[kThreads / kWarp];
  const int64_t columns = rows.columns;
  const auto width = static_cast<float>(columns);
  const auto *weight = static_cast<const Number*>(rows.weight), *bias = static_cast<const Number*>(rows.bias);
  for (int64_t r = Team::first_row(); r < count; r += Team::rows_at_once()) {
    Row<Number, kCount, Team, kGroups> x(static_cast<const Number*>(rows.x) + r * columns, columns);
    auto* y = static_cast<Number*>(rows.y) + r * columns;
    float mean = 0, squares = 0;
    if (rows.mean) {
      x.each([&](int64_t, const float (&values)[kCount]) {
        for (const float value : values) mean += value;
      });
      mean = Team::template over<Add>(mean, shared) / width;
    }
    x.each([&](int64_t, const float (&values)[kCount]) {
      for (const float value : values) squares += (value - mean) * (value - mean);
    });
    squares = Team::template over<Add>(squares, shared);
    const auto scale = static_cast<float>(1 / sqrt(squares / static_cast<double>(columns) + rows.eps));
    if (Team::rank() == 0) {
      if (rows.mean) rows.mean[r] = mean;
      rows.scale[r] = scale;
    }
    x.each([&](int64_t c, const float (&values)[kCount]) {
      float out[kCount], factors[kCount], offsets[kCount] = {};
      load(weight + c, factors);
      if (bias) load(bias + c, offsets);
      for (int i = 0; i < kCount; ++i) out[i] = (values[i] - mean) * scale * factors[i] + offsets[i];
      store(out, y + c);
    });
  }
}

template <typename Number, int kCount, typename Team, int kGroups>
__global__ void __launch_bounds__(kThreads) input_gradient(NormGradientRows rows, int64_t count) {
  __shared__ float shared[kThreads / kWarp];
  const int64_t columns = rows.columns;
  const auto width = static_cast<float>(columns);
  const auto* weight = static_cast<const Number*>(rows.weight);
  for (int64_t r = Team::first_row(); r < count; r += Team::rows_at_once()) {
    Row<Number, kCount, Team, kGroups> gradient(static_cast<const Number*>(rows.gradient) + r * columns, columns), x(static_cast<const Number*>(rows.x) + r * columns, columns);
    const auto* stream = rows.stream ? static_cast<const Number*>(rows.stream) + r * columns : nullptr;
    auto* dx = static_cast<Number*>(rows.dx) + r * columns;
    const float scale = rows.scale[r], mean = rows.mean ? rows.mean[r] : 0.0f;
    // body(c, g, x - mean) for each group.
    const auto each = [&](auto&& body) {
      x.with(gradient, [&](int64_t c, const float (&of_x)[kCount], const float (&of_gradient)[kCount]) {
        float g[kCount], apart[kCount], factors[kCount];
        load(weight + c, factors);
        for (int i = 0; i < kCount; ++i) {
          g[i] = of_gradient[i] * factors[i];
          apart[i] = of_x[i] - mean;
        }
        body(c, g, apart);
      });
    };
    float sum = 0, product = 0;
    each([&](int64_t, const float (&g)[kCount], const float (&apart)[kCount]) {
      for (int i = 0; i < kCount; ++i) {
        sum += g[i];
        product += g[i] * apart[i];
      }
    });
    const float offset = rows.mean ? Team::template over<Add>(sum, shared) / width : 0.0f;
    const float slope = Team::template over<Add>(product, shared) / width * scale * scale;
    each([&](int64_t c, const float (&g)[kCount], const float (&apart)[kCount]) {
      float out[kCount], streamed[kCount] = {};
      if (stream) load(stream + c, streamed);
      for (int i = 0; i < kCount; ++i) out[i] = scale * (g[i] - offset - apart[i] * slope) + streamed[i];
      store(out, dx + c);
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

template <int... kGroups>
struct GroupCounts {};

// Runs body(n) with the least of the counts that is enough, as a constant; 0 where none is.
template <typename Body>
void with_groups(int64_t, GroupCounts<>, Body&& body) {
  body(std::integral_constant<int, 0>{});
}
template <int kLeast, int... kMore, typename Body>
void with_groups(int64_t groups, GroupCounts<kLeast, kMore...>, Body&& body) {
  if (groups <= kLeast) return body(std::integral_constant<int, kLeast>{});
  with_groups(groups, GroupCounts<kMore...>{}, body);
}

// Runs body(group, team, groups): how many columns are loaded at once, who has a row, and how many groups of them a thread keeps, of the counts that are compiled.
template <typename Number, typename Counts, typename Body>
void with_team(int64_t columns, bool in_groups, Counts counts, Body&& body) {
  constexpr int kCount = kGroup<Number>;
  const auto needed = [&](int threads) { return (columns + threads * kCount - 1) / (threads * kCount); };
  if (in_groups && columns % kCount == 0) {
    constexpr std::integral_constant<int, kCount> group;
    if (needed(kWarp) <= kMostOfWarp) return with_groups(needed(kWarp), counts, [&](auto groups) { body(group, Team<false>{}, groups); });
    return with_groups(needed(kThreads), counts, [&](auto groups) { body(group, Team<true>{}, groups); });
  }
  constexpr std::integral_constant<int, 1> one;
  constexpr std::integral_constant<int, 0> any;
  if (columns <= kNarrow) return body(one, Team<false>{}, any);
  body(one, Team<true>{}, any);
}

template <bool kWholeBlock>
unsigned int blocks_of(Team<kWholeBlock>, int64_t rows) {
  return blocks_for(rows, kWholeBlock ? 1 : kThreads / kWarp);
}

}  // namespace

void normalise_rows(const NormRows& rows, int64_t count, GpuStream stream) {
  with_number(rows.dtype, [&](auto zero) {
    using Number = decltype(zero);
    with_team<Number>(rows.columns, aligned({rows.x, rows.weight, rows.bias, rows.y}), GroupCounts<1, 2, 3, 4, 8>{}, [&](auto group, auto team, auto groups) {
      launch("normalise_rows", normalise<Number, decltype(group)::value, decltype(team), decltype(groups)::value>, blocks_of(team, count), kThreads, stream, rows, count);
    });
  });
}

void norm_gradient_rows(const NormGradientRows& rows, int64_t count, const NormSums& sums, GpuStream stream) {
  with_number(rows.dtype, [&](auto zero) {
    using Number = decltype(zero);
    if (rows.dx) {
      // Two rows are kept.
      with_team<Number>(rows.columns, aligned({rows.gradient, rows.x, rows.weight, rows.stream, rows.dx}), GroupCounts<1, 2, 3, 4>{}, [&](auto group, auto team, auto groups) {
        launch("norm_gradient_rows", input_gradient<Number, decltype(group)::value, decltype(team), decltype(groups)::value>, blocks_of(team, count), kThreads, stream, rows, count);
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
