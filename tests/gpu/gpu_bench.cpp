// What a GPU does alone, as zerorun asks it: products, copies, the update, and what a unit costs the host. It needs a GPU.
//
//     gpu_bench --benchmark_filter=gemm|copies|adamw|launches [--benchmark_format=json]
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <benchmark/benchmark.h>

#include <chrono>
#include <iostream>

#include "comm/nccl_communicator.h"
#include "comm/thread_communicator.h"
#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "core/ops/kernels/matrix_product.h"
#include "offload/host_store.h"
#include "tests/zero/world.h"
#include "zero/flat_span.h"

namespace zerorun {
namespace {

const at::Device kGpu(at::kCUDA, 0);

at::Tensor on_gpu(std::vector<int64_t> shape, at::ScalarType dtype) { return at::ones(shape, at::TensorOptions().dtype(dtype).device(kGpu)); }

// Seconds of `launch` on the GPU: so many at once that their launching does not count.
template <typename Launch>
void measure(benchmark::State& state, double amount_of_one, const char* unit, Launch launch) {
  constexpr int kAtOnce = 20;
  MemoryLedger ledger(Side::gpu);
  launch();
  gpu::synchronize();
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kAtOnce; ++i) launch();
    gpu::synchronize();
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  state.counters[unit] = benchmark::Counter(amount_of_one * kAtOnce, benchmark::Counter::kIsIterationInvariantRate);
}

void gemm(benchmark::State& state, at::ScalarType dtype) {
  const int64_t size = state.range(0);
  const auto normal = [&] { return at::randn({size, size}, at::TensorOptions().dtype(dtype).device(kGpu)); };  // equal numbers take less power, and are faster
  const auto a = normal(), b = normal(), c = on_gpu({size, size}, dtype);
  measure(state, 2.0 * static_cast<double>(size) * static_cast<double>(size) * static_cast<double>(size), "flops", [&] { ops::multiply(c, a, b); });
}
BENCHMARK_CAPTURE(gemm, bf16, at::kBFloat16)->Arg(4096)->Arg(8192)->UseManualTime();
BENCHMARK_CAPTURE(gemm, fp32, at::kFloat)->Arg(4096)->UseManualTime();

enum class Way { up, down, both, on_device };

void copies(benchmark::State& state, Way way) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  MemoryLedger ledger(Side::gpu);
  HostStore from(kBytes, ledger), to(kBytes, ledger);
  const auto a = on_gpu({kBytes}, at::kByte), b = on_gpu({kBytes}, at::kByte);
  const auto beside = gpu::make_stream();
  const Span host_from{from.data(), kBytes, at::kByte}, host_to{to.data(), kBytes, at::kByte};
  measure(state, static_cast<double>(kBytes) * (way == Way::both || way == Way::on_device ? 2 : 1), "bytes", [&] {
    if (way == Way::on_device) return copy(span_of(a), span_of(b));
    if (way == Way::both) beside->submit([&] { copy(span_of(b), host_to); });
    if (way == Way::up || way == Way::both) copy(host_from, span_of(a));
    if (way == Way::down) copy(span_of(a), host_to);
    if (way == Way::both) beside->submit([] {}).wait();
  });
}
BENCHMARK_CAPTURE(copies, host_to_device, Way::up)->UseManualTime();
BENCHMARK_CAPTURE(copies, device_to_host, Way::down)->UseManualTime();
BENCHMARK_CAPTURE(copies, both, Way::both)->UseManualTime();
BENCHMARK_CAPTURE(copies, on_device, Way::on_device)->UseManualTime();

// 28 bytes a parameter: as many with a bf16 gradient and a rounded copy.
void adamw(benchmark::State& state, at::ScalarType dtype) {
  const int64_t count = state.range(0);
  const auto parameter = on_gpu({count}, at::kFloat), gradient = on_gpu({count}, dtype), m = on_gpu({count}, at::kFloat), v = on_gpu({count}, at::kFloat);
  const auto rounded = dtype == at::kFloat ? at::Tensor() : on_gpu({count}, dtype);
  FlatSlice slice;
  slice.parameter = parameter.data_ptr<float>();
  slice.gradient = span_of(gradient);
  slice.rounded = span_of(rounded);
  slice.state = {m.data_ptr<float>(), v.data_ptr<float>()};
  slice.count = slice.decay_count = count;
  const auto optimizer = make_adamw({});
  measure(state, 28.0 * static_cast<double>(count), "bytes", [&] { optimizer->update(slice, {.step = 3, .lr = 1e-3}); });
}
BENCHMARK_CAPTURE(adamw, fp32, at::kFloat)->Arg(124'000'000)->UseManualTime();
BENCHMARK_CAPTURE(adamw, bf16, at::kBFloat16)->Arg(124'000'000)->UseManualTime();

// A step of a model so small that the host's work is all of its time: seconds for each unit, forward and backward.
void launches(benchmark::State& state) {
  run_ranks(1, [&](Communicator& control) {
    NcclCommunicator communicator(control);
    const Model model = make_gpt2({.vocab_size = 64, .hidden_size = 64, .num_hidden_layers = 24, .num_attention_heads = 1, .max_position_embeddings = 16});
    MemoryLedger ledger(Side::gpu);
    EngineOptions options{.sharding = Sharding::of_stage(3), .precision = {at::kBFloat16, at::kBFloat16}};
    options.device = kGpu;
    const auto optimizer = make_adamw({});
    Engine engine(model, communicator, *optimizer, ledger, options);
    const testing::CountedBatches batches(64, 16, 1);
    int64_t step = 0;
    for (auto _ : state) {
      const MemoryScope scope(ledger, batch_category(ledger));
      const Batch batch = batches.train(step++, 0, 1);
      engine.train_step({&batch, 1}, 1e-3);
    }
    state.counters["seconds_per_unit"] =
        benchmark::Counter(model.unit_count(), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  });
}
BENCHMARK(launches);

}  // namespace
}  // namespace zerorun

int main(int argc, char** argv) {
  zerorun::install_counting_allocators();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  if (const auto absence = zerorun::gpu::absence(); !absence.empty()) {
    std::cerr << "gpu_bench needs a GPU: " << absence << "\n";
    return 78;
  }
  zerorun::gpu::start({.index = 0});
  benchmark::AddCustomContext("device", zerorun::gpu::visible().front().name);
  benchmark::RunSpecifiedBenchmarks();
}
