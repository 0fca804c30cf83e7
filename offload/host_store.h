// Memory of the host: one mapping of exactly the bytes asked for, in huge pages where the kernel has them.
#pragma once
#include <memory>

#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "offload/store.h"

namespace zerorun {

class HostStore : public Store {
 public:
  // Charges `ledger` with the bytes, as host memory, until it is destroyed. They are touched here, by the threads that compute: what the
  // process holds does not grow later. Where the ledger's device is a GPU they are pinned for it. Throws Error(out_of_memory).
  HostStore(int64_t bytes, MemoryLedger& ledger);
  ~HostStore() override;
  HostStore(const HostStore&) = delete;
  HostStore& operator=(const HostStore&) = delete;

  int64_t bytes() const override { return bytes_; }
  bool is_memory() const override { return true; }
  std::byte* data() override { return data_; }
  using Store::read, Store::write;
  void read(Extents to) override;
  void write(Extents from) override;

 private:
  MemoryLedger& ledger_;
  const int64_t bytes_;
  std::byte* data_ = nullptr;
  std::unique_ptr<gpu::Pinned> pinned_;
};

// A HostStore; or where nothing is computed, what stands for one (counted_store.h).
std::unique_ptr<Store> take_host_memory(int64_t bytes, MemoryLedger& ledger, bool counts_only);

}  // namespace zerorun
