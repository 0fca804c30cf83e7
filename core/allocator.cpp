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
using detail::Arena;
using detail::BlockRules;
using detail::Charge;
using detail::rules_of;

constexpr BlockRules kHost = rules_of(Side::host);
static_assert(sizeof(Charge) <= kHost.header);

std::atomic<int64_t> process_bytes{0};

[[noreturn]] void fail_without_memory(size_t bytes) {
  fail(ErrorKind::out_of_memory, "no memory for a tensor of {} bytes; the process holds {} bytes of tensors", bytes, process_bytes.load());
}

Charge charge_or_fail(size_t bytes, Side side, Arena::Memory memory) {
  const auto charge = Charge::of_scope(bytes, side, memory);
  if (!charge) fail_without_memory(bytes);
  return *charge;
}

class CpuAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::kCPU)};
    const Charge taken = charge_or_fail(bytes, Side::host, Arena::Memory::mapped);
    void* block = nullptr;
    if (taken.in_arena()) {
      block = taken.address();
    } else if (posix_memalign(&block, kHost.alignment, bytes + kHost.header) != 0) {
      fail_without_memory(bytes);
    }
    new (block) Charge(taken);
    taken.enter();
    process_bytes.fetch_add(taken.bytes, std::memory_order_relaxed);
    void* data = static_cast<char*>(block) + kHost.header;
    return {data, data, &free_block, c10::Device(c10::kCPU)};  // data == context: raw_deallocate of oneDNN needs it
  }

  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }

  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  static void free_block(void* data) {
    if (!data) return;
    void* block = static_cast<char*>(data) - kHost.header;
    const Charge charge = *static_cast<Charge*>(block);
    process_bytes.fetch_sub(charge.bytes, std::memory_order_relaxed);
    if (!charge.in_arena()) std::free(block);
    charge.leave();
  }
};

class MetaAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::kMeta)};
    const auto scope = detail::current_scope();
    const Side side = on_device(scope.category) ? scope.account->device() : Side::host;
    auto* taken = new Charge(charge_or_fail(bytes, side, Arena::Memory::none));
    taken->enter();
    return {nullptr, taken, &free_block, c10::Device(c10::kMeta)};
  }

  void copy_data(void*, const void*, size_t) const override {}

 private:
  static void free_block(void* context) {
    const std::unique_ptr<Charge> charge(static_cast<Charge*>(context));
    if (charge) charge->leave();
  }
};

}  // namespace

void install_counting_allocators() {
  static CpuAllocator cpu;
  static MetaAllocator meta;
  constexpr uint8_t kAboveAllOthers = 255;
  mallopt(M_MMAP_THRESHOLD, kHost.least);
  c10::SetAllocator(c10::kCPU, &cpu, kAboveAllOthers);
  c10::SetAllocator(c10::kMeta, &meta, kAboveAllOthers);
}

}  // namespace zerorun
