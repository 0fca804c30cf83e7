#include "offload/host_store.h"

#include <ATen/Parallel.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "offload/counted_store.h"

namespace zerorun {
namespace {

constexpr int64_t kTouchedAtOnce = 4 << 20;

std::byte* map(int64_t bytes) {
  if (bytes == 0) return nullptr;
  void* memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    fail(ErrorKind::out_of_memory, "{} bytes of host memory for what is offloaded cannot be had: {}; offload to disk, or to more ranks", bytes,
         system_message(errno));
  }
  madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  return static_cast<std::byte*>(memory);
}

}  // namespace

HostStore::HostStore(int64_t bytes, MemoryLedger& ledger) : ledger_(ledger), bytes_(in_store_units(bytes)), data_(map(bytes_)) {
  ledger_.charge(Category::host, bytes_);
  at::parallel_for(0, bytes_, kTouchedAtOnce, [this](int64_t begin, int64_t end) { std::memset(data_ + begin, 0, static_cast<size_t>(end - begin)); });
  if (ledger.device() == Side::gpu && bytes_ > 0) pinned_ = std::make_unique<gpu::Pinned>(data_, bytes_);
}

HostStore::~HostStore() {
  pinned_.reset();
  if (data_) munmap(data_, static_cast<size_t>(bytes_));
  ledger_.charge(Category::host, -bytes_);
}

std::unique_ptr<Store> take_host_memory(int64_t bytes, MemoryLedger& ledger, bool counts_only) {
  if (counts_only) return std::make_unique<CountedStore>(bytes, ledger, Category::host);
  return std::make_unique<HostStore>(bytes, ledger);
}

void HostStore::read(Extents to) {
  check_extents(*this, to);
  for (const auto& [offset, memory] : to) std::ranges::copy_n(data_ + offset, std::ssize(memory), memory.begin());
}

void HostStore::write(Extents from) {
  check_extents(*this, from);
  for (const auto& [offset, memory] : from) std::ranges::copy(memory, data_ + offset);
}

}  // namespace zerorun
