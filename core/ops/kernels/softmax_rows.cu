#include "core/gpu/reduce.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/kernels/softmax_rows.h"

namespace zerorun::ops {
namespace {

using namespace gpu;

constexpr float kLowest = -3.40282347e38f;

// The sum of exp(x - maximum) over what has been seen. It begins at the lowest finite number, not at -infinity: -infinity counts as nothing and
// +infinity as what is not a number, without a question asked of each element.
struct OnlineSum {
  float maximum = kLowest, sum = 0;

  template <int kCount>
  __device__ void add(const float (&values)[kCount]) {
    float highest = maximum;
    for (int i = 0; i < kCount; ++i) highest = fmaxf(highest, values[i]);
    if (highest > maximum) {
      sum *= expf(maximum - highest);
      maximum = highest;
    }
    for (int i = 0; i < kCount; ++i) sum += expf(values[i] - maximum);
  }
};

// Runs body(group, i) for the elements of a row that may begin anywhere: one at a time up to the first address of 16 bytes and after the last.
template <typename Team, typename Number, typename Body>
__device__ void for_row(const Number* row, int64_t count, Body&& body) {
  constexpr int kCount = kGroup<Number>;
  const auto place = static_cast<int64_t>(reinterpret_cast<uintptr_t>(row) / sizeof(Number) % kCount);
  const int64_t before = place == 0 ? 0 : kCount - place, head = before < count ? before : count;
  const int64_t groups = (count - head) / kCount, tail = head + groups * kCount;
  if (Team::rank() < head) body(std::integral_constant<int, 1>{}, int64_t{Team::rank()});
  for (int64_t g = Team::rank(); g < groups; g += Team::size()) body(std::integral_constant<int, kCount>{}, head + g * kCount);
  if (tail + Team::rank() < count) body(std::integral_constant<int, 1>{}, tail + Team::rank());
}

// A block has a row, and reads it a second time, from the cache, to write it. Two blocks are on a multiprocessor at a time, of which one reads while the other writes.
constexpr int kRowThreads = 512;

template <typename Number>
__global__ void __launch_bounds__(kRowThreads, 2) cross_entropy(CrossEntropyRows rows) {
  __shared__ float maxima[kRowThreads / kWarp];
  __shared__ double sums[kRowThreads / kWarp];
  using Block = Team<true>;
  const int64_t count = rows.vocabulary;
  const float not_a_number = widen_bf16(0x7fc0);
  for (int64_t r = Block::first_row(); r < rows.rows; r += Block::rows_at_once()) {
    Number* logits = static_cast<Number*>(rows.logits) + r * rows.stride;
    const int64_t target = rows.target[r];
    const bool ignored = target == rows.ignored;
    if (ignored || target < 0 || target >= count) {
      const float all = ignored ? 0.0f : not_a_number;
      if (threadIdx.x == 0) rows.loss[r] = all;
      if (rows.gradient_scale == 0) continue;
      for_row<Block>(logits, count, [&](auto group, int64_t i) {
        float values[decltype(group)::value];
        for (float& value : values) value = all;
        store(values, logits + i);
      });
      continue;
    }
    OnlineSum online;
    for_row<Block>(logits, count, [&](auto group, int64_t i) {
      float values[decltype(group)::value];
      load(logits + i, values);
      online.add(values);
    });
    const float at_target = widen(logits[target]);
    const float maximum = Block::over<Maximum>(online.maximum, maxima);
    const double sum = Block::over<Add>(static_cast<double>(online.sum) * expf(online.maximum - maximum), sums);
    if (threadIdx.x == 0) rows.loss[r] = log(sum) - (at_target - maximum);
    if (rows.gradient_scale == 0) continue;
    const auto scale = static_cast<float>(rows.gradient_scale / sum);
    for_row<Block>(logits, count, [&](auto group, int64_t i) {
      float values[decltype(group)::value];
      load(logits + i, values);
      for (float& value : values) value = expf(value - maximum) * scale;
      store(values, logits + i);
    });
    __syncthreads();  // the target's has been written, and is written again
    if (threadIdx.x == 0) narrow(expf(at_target - maximum) * scale - rows.gradient_scale, logits[target]);
  }
}

template <typename Team>
__global__ void __launch_bounds__(kThreads) causal_softmax(CausalRows rows) {
  __shared__ float shared[kThreads / kWarp];
  const int64_t keys = rows.keys;
  for (int64_t row = Team::first_row(); row < rows.heads * rows.rows; row += Team::rows_at_once()) {
    const int64_t head = row / rows.rows, r = row % rows.rows;
    const int64_t seen = rows.first_row + r + 1 < keys ? rows.first_row + r + 1 : keys;
    float* scores = rows.scores + row * keys;
    float* log_sum_exp = rows.log_sum_exp + head * rows.stride + r;
    float offset = 0, factor = 1;
    if (rows.known) {
      offset = *log_sum_exp;
    } else {
      OnlineSum online;
      for_row<Team>(scores, seen, [&](auto group, int64_t i) {
        constexpr int kCount = decltype(group)::value;
        float values[kCount];
        load(scores + i, values);
        for (int k = 0; k < kCount; ++k) values[k] *= rows.scale;
        online.add(values);
      });
      offset = Team::template over<Maximum>(online.maximum, shared);
      const float sum = Team::template over<Add>(online.sum * expf(online.maximum - offset), shared);
      factor = 1 / sum;
      if (Team::rank() == 0) *log_sum_exp = offset + logf(sum);
    }
    for_row<Team>(scores, keys, [&](auto group, int64_t i) {
      constexpr int kCount = decltype(group)::value;
      float values[kCount] = {};
      if (i < seen) load(scores + i, values);
      for (int k = 0; k < kCount; ++k) values[k] = i + k < seen ? expf(values[k] * rows.scale - offset) * factor : 0.0f;
      store(values, scores + i);
    });
  }
}

template <int kCount>
__global__ void __launch_bounds__(kThreads) causal_gradient(CausalGradientRows rows) {
  for_each_group<1>(rows.heads * rows.rows * rows.keys / kCount, [&](auto, int64_t task) {
    const int64_t i = task * kCount, row = i / rows.keys;
    const float delta = rows.delta[row / rows.rows * rows.stride + row % rows.rows];
    float probability[kCount], gradient[kCount];
    load(rows.probabilities + i, probability);
    load(rows.gradient + i, gradient);
    for (int k = 0; k < kCount; ++k) gradient[k] = rows.scale * probability[k] * (gradient[k] - delta);
    store(gradient, rows.gradient + i);
  });
}

}  // namespace

void softmax_cross_entropy_rows(const CrossEntropyRows& rows, GpuStream stream) {
  if (rows.rows == 0) return;
  with_number(rows.dtype, [&](auto zero) {
    const int threads = rows.vocabulary >= 8192 ? kRowThreads : kThreads;
    launch("softmax_cross_entropy_rows", cross_entropy<decltype(zero)>, blocks_for(rows.rows, 1), threads, stream, rows);
  });
}

void causal_softmax_rows(const CausalRows& rows, GpuStream stream) {
  constexpr int64_t kNarrow = 1024;  // keys
  const int64_t count = rows.heads * rows.rows;
  if (rows.keys <= kNarrow) return launch("causal_softmax_rows", causal_softmax<Team<false>>, blocks_for(count, kThreads / kWarp), kThreads, stream, rows);
  launch("causal_softmax_rows", causal_softmax<Team<true>>, blocks_for(count, 1), kThreads, stream, rows);
}

void causal_softmax_gradient_rows(const CausalGradientRows& rows, GpuStream stream) {
  with_group<kGroup<float>>(rows.keys % kGroup<float> == 0 && aligned({rows.probabilities, rows.gradient}), [&](auto group) {
    constexpr int kCount = decltype(group)::value;
    launch("causal_softmax_gradient_rows", causal_gradient<kCount>, blocks_for(rows.heads * rows.rows * rows.keys / kCount, kThreads), kThreads, stream, rows);
  });
}

}  // namespace zerorun::ops
