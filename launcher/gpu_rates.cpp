#include "launcher/gpu_rates.h"

#include <ATen/Context.h>
#include <ATen/ops/add.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include "core/memory.h"
#include "core/ops/kernels/matrix_product.h"
#include "launcher/best_seconds.h"
#include "launcher/placement.h"
#include "offload/host_store.h"
#include "zero/flat_span.h"
#include "zero/optimizer.h"

namespace zerorun {
namespace {

constexpr int64_t kBytes = int64_t{256} << 20;
constexpr int kAtOnce = 10;      // launches whose launching does not count
constexpr int64_t kWidth = 8192;  // of the matrices

class GpuRates {
 public:
  explicit GpuRates(const gpu::Info& gpu) : device_(at::kCUDA, static_cast<c10::DeviceIndex>(gpu.index)) {}

  void measure_copies(Rates& rates) const {
    const MemoryScope scope(ledger_, Category::workspace);
    HostStore host(kBytes, ledger_);
    const auto a = ones({kBytes / 4}, at::kFloat), b = ones({kBytes / 4}, at::kFloat);
    auto sum = ones({kBytes / 4}, at::kFloat);
    constexpr auto kMoved = static_cast<double>(kBytes);
    rates.host_to_device = kMoved / seconds_of([&] { gpu::copy(host.data(), a.data_ptr(), kBytes); });
    rates.device_to_host = kMoved / seconds_of([&] { gpu::copy(a.data_ptr(), host.data(), kBytes); });
    rates.memory_copy = 2 * kMoved / seconds_of([&] { gpu::copy(a.data_ptr(), b.data_ptr(), kBytes); });
    rates.memory_triad = 3 * kMoved / seconds_of([&] { at::add_out(sum, a, b, 3); });
  }

  double rate_of_products(at::ScalarType dtype) const {
    const MemoryScope scope(ledger_, Category::workspace);
    const auto normal = [&] { return at::randn({kWidth, kWidth}, at::TensorOptions().dtype(dtype).device(device_)); };  // equal numbers take less power, and are faster
    const auto a = normal(), b = normal(), product = ones({kWidth, kWidth}, dtype);
    return 2.0 * kWidth * kWidth * kWidth / seconds_of([&] { ops::multiply(product, a, b); });
  }

  double rate_of_adamw() const {
    constexpr int64_t kCount = kBytes / 4;
    const MemoryScope scope(ledger_, Category::workspace);
    const auto parameter = ones({kCount}, at::kFloat), gradient = ones({kCount}, at::kFloat), mean = ones({kCount}, at::kFloat), square = ones({kCount}, at::kFloat);
    FlatSlice slice;
    slice.parameter = parameter.data_ptr<float>();
    slice.gradient = span_of(gradient);
    slice.state = {mean.data_ptr<float>(), square.data_ptr<float>()};
    slice.count = slice.decay_count = kCount;
    const auto optimizer = make_adamw({});
    return static_cast<double>(kCount) / seconds_of([&] { optimizer->update(slice, {.step = 1, .lr = 1e-3}); });
  }

 private:
  template <typename Launch>
  static double seconds_of(Launch&& launch) {
    return best_seconds([&] {
             for (int i = 0; i < kAtOnce; ++i) launch();
             gpu::synchronize();
           }) / kAtOnce;
  }

  at::Tensor ones(std::vector<int64_t> shape, at::ScalarType dtype) const { return at::ones(shape, at::TensorOptions().dtype(dtype).device(device_)); }

  const at::Device device_;
  mutable MemoryLedger ledger_{Side::gpu};
};

}  // namespace

Rates measure_gpu(const gpu::Info& gpu, const Rates& host) {
  stay_near(gpu.pci_bus);  // as ranks do
  return measure_started_gpu(gpu, gpu::start({.index = gpu.index}), host);
}

Rates measure_started_gpu(const gpu::Info& gpu, const gpu::Started& started, const Rates& host) {
  const GpuRates measured(gpu);
  Rates rates = host;
  rates.gpu = Rates::Gpu{gpu.name, gpu.total_bytes, gpu.multiprocessors, started.context, started.workspace};
  rates.links.reset();  // of the host's memory, which GPUs do not read of each other
  measured.measure_copies(rates);
  rates.multiply = {{"fp32", measured.rate_of_products(at::kFloat)}, {"bf16", measured.rate_of_products(at::kBFloat16)}, {"fp16", measured.rate_of_products(at::kHalf)}};
  const bool tf32 = at::globalContext().allowTF32CuBLAS();
  at::globalContext().setAllowTF32CuBLAS(true);
  rates.multiply["tf32"] = measured.rate_of_products(at::kFloat);
  at::globalContext().setAllowTF32CuBLAS(tf32);
  rates.host_adamw = host.adamw;
  rates.adamw = measured.rate_of_adamw();
  return rates;
}

}  // namespace zerorun
