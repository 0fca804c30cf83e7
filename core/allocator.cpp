// The counting allocators. A cpu block carries its charge in a header in front of the data; a meta block has no data and
// carries it in its context. Either way a free finds the account again, on whatever thread it happens.
#include <c10/core/Allocator.h>
#include <malloc.h>

#include <cstring>
#include <new>

#include "core/account.h"
#include "core/error.h"

namespace zerorun {
namespace {

using detail::Account;
using detail::Level;

constexpr size_t kAlignment = 64;
constexpr int kMmapThreshold = 64 * 1024;

struct Charge {
  Account* account;
  Category category;
  int64_t bytes;
};
static_assert(sizeof(Charge) <= kAlignment);

Level process_bytes;
std::atomic<int64_t> observed_peak{0};
std::atomic<void (*)(int64_t)> peak_observer{nullptr};

Charge charge_current_scope(size_t bytes) {
  const auto scope = detail::current_scope();
  const Charge charge{scope.account, scope.category, static_cast<int64_t>(bytes)};
  charge.account->retain();
  charge.account->charge(charge.category, charge.bytes);
  return charge;
}

void discharge(const Charge& charge) {
  charge.account->charge(charge.category, -charge.bytes);
  charge.account->release();
}

// Runs before a block is freed. Small growth is not worth a sample.
void report_new_peak() {
  constexpr int64_t kWorthSampling = 1 << 18;
  const int64_t peak = process_bytes.peak();
  int64_t last = observed_peak.load(std::memory_order_relaxed);
  if (peak < last + kWorthSampling) return;
  if (!observed_peak.compare_exchange_strong(last, peak, std::memory_order_relaxed)) return;
  if (auto* observer = peak_observer.load(std::memory_order_relaxed)) observer(peak);
}

class CpuAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::kCPU)};
    void* block = nullptr;
    if (bytes > PTRDIFF_MAX - kAlignment || posix_memalign(&block, kAlignment, bytes + kAlignment) != 0) {
      fail(ErrorKind::out_of_memory, "no memory for a tensor of {} bytes; the process holds {} bytes of tensors", bytes,
           process_bytes.now());
    }
    new (block) Charge(charge_current_scope(bytes));
    process_bytes.add(static_cast<int64_t>(bytes));
    void* data = static_cast<char*>(block) + kAlignment;
    return {data, data, &free_block, c10::Device(c10::kCPU)};  // data == context: raw_deallocate of oneDNN needs it
  }

  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }

  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  static void free_block(void* data) {
    if (!data) return;
    report_new_peak();
    void* block = static_cast<char*>(data) - kAlignment;
    const Charge charge = *static_cast<Charge*>(block);
    discharge(charge);
    process_bytes.add(-charge.bytes);
    std::free(block);
  }
};

class MetaAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    auto* charge = bytes ? new Charge(charge_current_scope(bytes)) : nullptr;
    return {nullptr, charge, &free_block, c10::Device(c10::kMeta)};
  }

  void copy_data(void*, const void*, size_t) const override {}

 private:
  static void free_block(void* context) {
    const std::unique_ptr<Charge> charge(static_cast<Charge*>(context));
    if (charge) discharge(*charge);
  }
};

}  // namespace

void install_counting_allocators() {
  static CpuAllocator cpu;
  static MetaAllocator meta;
  constexpr uint8_t kAboveAllOthers = 255;
  mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
  c10::SetAllocator(c10::kCPU, &cpu, kAboveAllOthers);
  c10::SetAllocator(c10::kMeta, &meta, kAboveAllOthers);
}

void observe_peaks(void (*observer)(int64_t peak_bytes)) {
  process_bytes.reset_peak();
  observed_peak = process_bytes.now();
  peak_observer = observer;
}

}  // namespace zerorun
