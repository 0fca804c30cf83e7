#include "launcher/rates.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <fmt/format.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <ostream>

#include "core/error.h"
#include "core/host_name.h"
#include "core/memory.h"
#include "core/ops/kernels/matrix_product.h"
#include "core/stream.h"
#include "core/threads.h"
#include "launcher/best_seconds.h"
#include "launcher/gpu_rates.h"
#include "launcher/report.h"
#include "offload/disk_store.h"
#include "offload/host_store.h"
#include "zero/optimizer.h"

namespace zerorun {
namespace {

constexpr int64_t kMebibyte = 1 << 20;
constexpr int64_t kElementsPerTask = 1 << 15;
constexpr int64_t kWidth = 1024;  // of the matrices

double rate_of_copy(std::span<const std::byte> from, std::span<std::byte> to) {
  return static_cast<double>(from.size()) / best_seconds([&] {
           at::parallel_for(0, std::ssize(from), 4 * kElementsPerTask, [&](int64_t begin, int64_t end) {
             std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
           });
         });
}

// Written past the caches: else a line that is only written is read first, which nobody counts.
double rate_of_triad(HostStore& memory) {
  const int64_t count = memory.bytes() / 3 / static_cast<int64_t>(sizeof(float)) / 64 * 64;
  auto* a = reinterpret_cast<float*>(memory.data());
  const float *b = a + count, *c = b + count;
  return static_cast<double>(3 * count * static_cast<int64_t>(sizeof(float))) / best_seconds([&] {
           at::parallel_for(0, count, kElementsPerTask, [&](int64_t begin, int64_t end) {
             for (int64_t i = begin; i < end; i += 4) {
               _mm_stream_ps(a + i, _mm_add_ps(_mm_load_ps(b + i), _mm_mul_ps(_mm_set1_ps(3), _mm_load_ps(c + i))));
             }
           });
         });
}

double rate_of_adamw(HostStore& memory) {
  const int64_t count = memory.bytes() / 4 / static_cast<int64_t>(sizeof(float)) / 64 * 64;
  auto* values = reinterpret_cast<float*>(memory.data());
  FlatSlice slice;
  slice.parameter = values;
  slice.gradient = {values + count, count, at::kFloat};
  slice.state[0] = values + 2 * count;
  slice.state[1] = values + 3 * count;
  slice.count = slice.decay_count = count;
  const auto optimizer = make_adamw({});
  return static_cast<double>(count) / best_seconds([&] { optimizer->update(slice, {.step = 1, .lr = 1e-3}); });
}

double rate_of_products(at::ScalarType dtype, MemoryLedger& ledger) {
  const MemoryScope scope(ledger, Category::workspace);
  const auto matrix = at::ones({kWidth, kWidth}).to(dtype), product = at::empty_like(matrix);
  return 2.0 * kWidth * kWidth * kWidth / best_seconds([&] { ops::multiply(product, matrix, matrix); });
}

// In the parts in which slices move.
constexpr int64_t kPart = 64 * kMebibyte;

void measure_disk(const RatesOptions& options, HostStore& memory, MemoryLedger& ledger, Rates& rates, std::string* note) {
  DiskStore disk(*options.path, options.bytes, ledger);
  rates.disk = std::filesystem::absolute(*options.path).lexically_normal();
  disk.use_memory({memory.data(), static_cast<size_t>(std::min(kPart, memory.bytes()))});
  if (note) *note = disk.note();
  const auto rate = [&](auto&& move) {
    return static_cast<double>(disk.bytes()) / best_seconds([&] {
             for (int64_t begin = 0; begin < disk.bytes(); begin += kPart) {
               const int64_t bytes = std::min(kPart, disk.bytes() - begin);
               move(begin, std::span(memory.data(), static_cast<size_t>(bytes)));
             }
           });
  };
  rates.disk_write = rate([&](int64_t offset, std::span<std::byte> part) { disk.write({offset, part}); });
  rates.disk_read = rate([&](int64_t offset, std::span<std::byte> part) { disk.read({offset, part}); });
  ThreadStream writes;
  const auto aligned_half = [](int64_t bytes) { return bytes / 2 / kStoreAlignment * kStoreAlignment; };
  const int64_t half = aligned_half(disk.bytes()), part_bytes = aligned_half(std::min(kPart, memory.bytes()));
  const auto move_half = [&](bool write) {
    for (int64_t begin = 0; begin < half; begin += part_bytes) {
      auto* const part = memory.data() + (write ? part_bytes : 0);
      const std::span bytes(part, static_cast<size_t>(std::min(part_bytes, half - begin)));
      write ? disk.write({half + begin, bytes}) : disk.read({begin, bytes});
    }
  };
  rates.disk_both = static_cast<double>(2 * half) / best_seconds([&] {
                      const Event written = writes.submit([&] { move_half(true); });
                      move_half(false);
                      written.wait();
                    });
}

void print(const Rates& rates, const std::string& note, const RatesOptions& options, std::ostream& out) {
  if (options.json) {
    out << rates_json(rates);
    return;
  }
  const auto line = [&](const std::string& name, double value, const char* unit) { out << fmt::format("{:<44} {:>8.1f} {}\n", name, value / 1e9, unit); };
  line("memory, copy (read and written)", rates.memory_copy, "GB/s");
  line("memory, triad", rates.memory_triad, "GB/s");
  line("host to device", rates.host_to_device, "GB/s");
  line("device to host", rates.device_to_host, "GB/s");
  if (rates.disk_read) line("disk, read", *rates.disk_read, "GB/s");
  if (rates.disk_write) line("disk, written", *rates.disk_write, "GB/s");
  if (rates.disk_both) line("disk, read and written at the same time", *rates.disk_both, "GB/s");
  for (const auto& [dtype, flops] : rates.multiply) line("matrix product in " + dtype, flops, "GFLOP/s");
  line("AdamW", rates.adamw, "G parameters/s");
  if (rates.host_adamw) line("AdamW on the host", *rates.host_adamw, "G parameters/s");
  if (rates.gpu) out << fmt::format("{:<44} {:>13}\n", "in use of its memory: CUDA, cuBLAS, others", readable_bytes(rates.gpu->context + rates.gpu->workspace));
  out << fmt::format("on {} with {} threads{}\n", rates.gpu ? rates.gpu->name : "the processor,", rates.threads, options.path ? "" : "; --path FOLDER measures the disk that it is on");
  if (!note.empty()) out << "note: offload path " << *options.path << ": " << note << '\n';
}

}  // namespace

Rates measure_rates(const RatesOptions& options, std::string* note) {
  const auto gpus = options.device == Settings::Device::cpu ? std::vector<gpu::Info>() : gpu::visible();
  if (gpus.empty() && options.device == Settings::Device::cuda) fail(ErrorKind::configuration, "--device is cuda, but {}", gpu::absence());
  Rates rates;
  rates.host = host_name();
  rates.threads = compute_threads();
  MemoryLedger ledger;
  HostStore memory(options.bytes, ledger);
  const std::span all(memory.data(), static_cast<size_t>(memory.bytes()));
  const auto half = all.first(all.size() / 2), other = all.last(all.size() / 2);
  rates.host_to_device = rate_of_copy(half, other);
  rates.device_to_host = rate_of_copy(other, half);
  rates.memory_copy = 2 * std::max(rates.host_to_device, rates.device_to_host);
  rates.links = std::max(rates.host_to_device, rates.device_to_host);  // what ranks of a host read of each other's memory
  rates.memory_triad = rate_of_triad(memory);
  rates.adamw = rate_of_adamw(memory);
  for (const auto& [name, dtype] : {std::pair("fp32", at::kFloat), std::pair("bf16", at::kBFloat16), std::pair("fp16", at::kHalf)}) {
    rates.multiply[name] = rate_of_products(dtype, ledger);
  }
  if (options.path) measure_disk(options, memory, ledger, rates, note);
  return gpus.empty() ? rates : measure_gpu(gpus.front(), rates);
}

void run_rates(const RatesOptions& options, std::ostream& out) {
  std::string note;
  const Rates rates = measure_rates(options, &note);
  print(rates, note, options, out);
  const std::string path = rates_path();
  if (path.empty()) return;
  write_rates(path, rates);
  if (!options.json) out << "written to " << path << ", where plan and report find it\n";
}

}  // namespace zerorun
