// What the flat kernels take per element, against a plain copy of the same bytes. Bytes per second are of memory traffic.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "comm/rank_sum.h"
#include "core/ops/kernels/dropout_rows.h"
#include "core/ops/kernels/norm_rows.h"
#include "core/ops/kernels/row_kernels.h"
#include "core/ops/kernels/softmax_rows.h"
#include "core/random.h"
#include "core/threads.h"
#include "zero/flat_span.h"
#include "zero/gradient_norm.h"
#include "zero/optimizer.h"

namespace zerorun {
namespace {

constexpr int64_t kCount = 1 << 23;  // elements: well beyond the caches

void count_traffic(benchmark::State& state, int64_t bytes_per_element) {
  state.SetItemsProcessed(state.iterations() * kCount);
  state.SetBytesProcessed(state.iterations() * kCount * bytes_per_element);
}

void copy(benchmark::State& state) {
  const std::vector<float> from(kCount, 1.0f);
  std::vector<float> to(kCount);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), kCount * sizeof(float));
    benchmark::ClobberMemory();
  }
  count_traffic(state, 8);
}

void update(benchmark::State& state, const Optimizer& optimizer, int64_t bytes_per_element) {
  std::vector<float> parameter(kCount, 1.0f), gradient(kCount, 0.01f);
  std::vector<std::vector<float>> states(optimizer.state_count(), std::vector<float>(kCount));
  FlatSlice slice{.parameter = parameter.data(), .gradient = {gradient.data(), kCount}, .rounded = {}, .state = {}, .count = kCount, .decay_count = kCount / 2};
  for (size_t i = 0; i < states.size(); ++i) slice.state[i] = states[i].data();
  UpdateArguments arguments{.lr = 1e-3};
  for (auto _ : state) {
    optimizer.update(slice, arguments);
    ++arguments.step;
  }
  count_traffic(state, bytes_per_element);
}

void adamw(benchmark::State& state) { update(state, *make_adamw({}), 28); }
void sgd(benchmark::State& state) { update(state, *make_sgd({}), 12); }
void sgd_with_momentum(benchmark::State& state) { update(state, *make_sgd({.momentum = 0.9}), 20); }

void norm(benchmark::State& state) {
  std::vector<float> gradient(kCount, 0.01f);
  for (auto _ : state) benchmark::DoNotOptimize(sum_of_squares(Span{gradient.data(), kCount}));
  count_traffic(state, 4);
}

void rank_sum_of(benchmark::State& state, at::ScalarType dtype) {
  const auto ranks = static_cast<size_t>(state.range(0));
  const auto size = static_cast<int64_t>(c10::elementSize(dtype));
  std::vector<std::vector<char>> parts(ranks, std::vector<char>(static_cast<size_t>(kCount * size)));
  std::vector<const void*> inputs;
  for (const auto& part : parts) inputs.push_back(part.data());
  std::vector<char> sum(static_cast<size_t>(kCount * size));
  for (auto _ : state) rank_sum(inputs, {sum.data(), kCount, dtype});
  count_traffic(state, (state.range(0) + 1) * size);
}

void initial_values(benchmark::State& state) {
  std::vector<float> values(1 << 18);
  for (auto _ : state) fill_normal(values.data(), 0, static_cast<int64_t>(values.size()), 42, 7, 0.02f);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(values.size()));
}

// Rows of 1024 numbers; a value of 0 costs what others do.
constexpr int64_t kWidth = 1024, kRows = kCount / kWidth;

struct Numbers {
  at::ScalarType dtype;
  int64_t size = static_cast<int64_t>(c10::elementSize(dtype));
  std::vector<char> make(int64_t count = kCount) const { return std::vector<char>(static_cast<size_t>(count * size)); }
};

void layer_norm_rows(benchmark::State& state, at::ScalarType dtype) {
  const Numbers numbers{dtype};
  auto x = numbers.make(), weight = numbers.make(kWidth), bias = numbers.make(kWidth), y = numbers.make();
  std::vector<float> mean(kRows), scale(kRows);
  const ops::NormRows rows{dtype, kWidth, 1e-5, x.data(), weight.data(), bias.data(), mean.data(), scale.data(), y.data()};
  for (auto _ : state) ops::normalise_rows(rows, 0, kRows);
  count_traffic(state, 2 * numbers.size);
}

void layer_norm_gradient_rows(benchmark::State& state, at::ScalarType dtype) {
  const Numbers numbers{dtype};
  auto gradient = numbers.make(), x = numbers.make(), weight = numbers.make(kWidth), dx = numbers.make();
  std::vector<float> mean(kRows), scale(kRows), weight_sums(kWidth), bias_sums(kWidth);
  const ops::NormGradientRows rows{dtype, kWidth, gradient.data(), x.data(), weight.data(), nullptr, mean.data(), scale.data(), dx.data()};
  for (auto _ : state) ops::norm_gradient_rows(rows, 0, kRows, weight_sums.data(), bias_sums.data());
  count_traffic(state, 3 * numbers.size);
}

void swiglu(benchmark::State& state, at::ScalarType dtype) {
  const Numbers numbers{dtype};
  auto gate = numbers.make(), up = numbers.make(), out = numbers.make();
  for (auto _ : state) ops::swiglu_part({dtype, gate.data(), up.data(), out.data(), nullptr, nullptr, nullptr}, 0, kCount);
  count_traffic(state, 3 * numbers.size);
}

void dropout(benchmark::State& state, at::ScalarType dtype) {
  const Numbers numbers{dtype};
  auto in = numbers.make(), out = numbers.make();
  for (auto _ : state) ops::drop_elements({{1, 2}, 6554, 1.1f}, dtype, 0, 0, kCount, in.data(), out.data());
  count_traffic(state, 2 * numbers.size);
}

void column_sums(benchmark::State& state, at::ScalarType dtype) {
  const Numbers numbers{dtype};
  auto gradient = numbers.make(), sum = numbers.make(kWidth);
  for (auto _ : state) ops::sum_columns({dtype, dtype, kRows, kWidth, gradient.data(), sum.data()}, 0, kWidth);
  count_traffic(state, numbers.size);
}

void softmax_cross_entropy(benchmark::State& state) {
  std::vector<float> logits(kCount);
  for (auto _ : state) {
    for (int64_t row = 0; row < kRows; ++row) {
      benchmark::DoNotOptimize(ops::softmax_cross_entropy_row(logits.data() + row * kWidth, kWidth, 7, 1.0f));
    }
  }
  count_traffic(state, 8);
}

BENCHMARK(copy);
BENCHMARK(adamw);
BENCHMARK(sgd);
BENCHMARK(sgd_with_momentum);
BENCHMARK(norm);
BENCHMARK_CAPTURE(rank_sum_of, fp32, at::kFloat)->Arg(2)->Arg(4);
BENCHMARK_CAPTURE(rank_sum_of, bf16, at::kBFloat16)->Arg(2)->Arg(4);
BENCHMARK(initial_values);
BENCHMARK(softmax_cross_entropy);
#define ZR_BENCHMARK_DTYPES(kernel)               \
  BENCHMARK_CAPTURE(kernel, fp32, at::kFloat);    \
  BENCHMARK_CAPTURE(kernel, bf16, at::kBFloat16); \
  BENCHMARK_CAPTURE(kernel, fp16, at::kHalf)
ZR_BENCHMARK_DTYPES(layer_norm_rows);
ZR_BENCHMARK_DTYPES(layer_norm_gradient_rows);
ZR_BENCHMARK_DTYPES(swiglu);
ZR_BENCHMARK_DTYPES(dropout);
ZR_BENCHMARK_DTYPES(column_sums);

}  // namespace
}  // namespace zerorun

// One thread: figures per element compare with those of a core.
int main(int argc, char** argv) {
  zerorun::set_compute_threads(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
