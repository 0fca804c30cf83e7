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

constexpr int64_t kHeader = Arena::kAlignment;
constexpr int64_t kLarge = 64 * 1024;
constexpr int64_t kFromMalloc = -1;

struct Charge {
  Account* account;
  Category category;
  int64_t bytes;
  int64_t offset;  // in the account's arena, or kFromMalloc
};
static_assert(sizeof(Charge) <= kHeader);

std::atomic<int64_t> process_bytes{0};

int64_t block_bytes(int64_t bytes) { return (kHeader + bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment; }
Account::Where where(const Charge& charge) { return charge.offset == kFromMalloc ? Account::Where::elsewhere : Account::Where::arena; }

void charge(const Charge& charge) {
  charge.account->retain();
  charge.account->charge(charge.category, charge.bytes, where(charge));
}

void discharge(const Charge& charge) {
  charge.account->charge(charge.category, -charge.bytes, where(charge));
  if (charge.offset != kFromMalloc) charge.account->arena().free(charge.offset, block_bytes(charge.bytes));
  charge.account->release();
}

[[noreturn]] void fail_without_memory(size_t bytes) {
  fail(ErrorKind::out_of_memory, "no memory for a tensor of {} bytes; the process holds {} bytes of tensors", bytes, process_bytes.load());
}

// What the current scope takes, not yet charged.
Charge charge_of_scope(size_t requested, Arena::Memory memory) {
  if (requested > PTRDIFF_MAX - kHeader - Arena::kAlignment) fail_without_memory(requested);
  const auto scope = detail::current_scope();
  Charge charge{scope.account, scope.category, static_cast<int64_t>(requested), kFromMalloc};
  if (charge.bytes < kLarge) return charge;
  const auto offset = scope.account->arena().take(block_bytes(charge.bytes), memory);
  if (!offset) fail_without_memory(requested);
  charge.offset = *offset;
  return charge;
}

class CpuAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::kCPU)};
    const Charge taken = charge_of_scope(bytes, Arena::Memory::mapped);
    void* block = nullptr;
    if (taken.offset != kFromMalloc) {
      block = taken.account->arena().at(taken.offset);
    } else if (posix_memalign(&block, Arena::kAlignment, bytes + kHeader) != 0) {
      fail_without_memory(bytes);
    }
    charge(*new (block) Charge(taken));
    process_bytes.fetch_add(taken.bytes, std::memory_order_relaxed);
    void* data = static_cast<char*>(block) + kHeader;
    return {data, data, &free_block, c10::Device(c10::kCPU)};  // data == context: raw_deallocate of oneDNN needs it
  }

  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }

  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  static void free_block(void* data) {
    if (!data) return;
    void* block = static_cast<char*>(data) - kHeader;
    const Charge charge = *static_cast<Charge*>(block);
    process_bytes.fetch_sub(charge.bytes, std::memory_order_relaxed);
    if (charge.offset == kFromMalloc) std::free(block);
    discharge(charge);
  }
};

class MetaAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::kMeta)};
    auto* taken = new Charge(charge_of_scope(bytes, Arena::Memory::none));
    charge(*taken);
    return {nullptr, taken, &free_block, c10::Device(c10::kMeta)};
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
  mallopt(M_MMAP_THRESHOLD, kLarge);
  c10::SetAllocator(c10::kCPU, &cpu, kAboveAllOthers);
  c10::SetAllocator(c10::kMeta, &meta, kAboveAllOthers);
}

}  // namespace zerorun
