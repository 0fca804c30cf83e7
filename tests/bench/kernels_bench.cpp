// What the flat kernels take per element, against a plain copy of the same bytes. Bytes per second are of memory traffic.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "comm/rank_sum.h"
#include "core/random.h"
#include "core/threads.h"
#include "zero/flat_span.h"
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

BENCHMARK(copy);
BENCHMARK(adamw);
BENCHMARK(sgd);
BENCHMARK(sgd_with_momentum);
BENCHMARK(norm);
BENCHMARK_CAPTURE(rank_sum_of, fp32, at::kFloat)->Arg(2)->Arg(4);
BENCHMARK_CAPTURE(rank_sum_of, bf16, at::kBFloat16)->Arg(2)->Arg(4);
BENCHMARK(initial_values);

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
