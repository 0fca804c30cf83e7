// A store whose reads are held against what was written: for who suspects a disk, its memory or its driver.
#pragma once
#include <memory>
#include <vector>

#include "core/memory.h"
#include "offload/store.h"

namespace zerorun {

class VerifiedStore final : public Store {
 public:
  // Charges `ledger`, as host memory, with a checksum of 8 bytes for each kStoreAlignment bytes of the store.
  VerifiedStore(std::unique_ptr<Store> inner, MemoryLedger& ledger);
  ~VerifiedStore() override;
  VerifiedStore(const VerifiedStore&) = delete;
  VerifiedStore& operator=(const VerifiedStore&) = delete;

  int64_t bytes() const override { return inner_->bytes(); }
  std::string note() const override { return inner_->note(); }
  bool is_memory() const override { return false; }  // what is changed in place is seen by nobody
  std::byte* data() override { return nullptr; }
  void use_memory(std::span<std::byte> memory) override { inner_->use_memory(memory); }
  using Store::read, Store::write;
  // Throws Error(io) where a block is not what was last written to it, or not zero where nothing was.
  void read(Extents to) override;
  void write(Extents from) override;

 private:
  int64_t charged() const;

  std::unique_ptr<Store> inner_;
  MemoryLedger& ledger_;
  std::vector<uint64_t> checksums_;  // by block
};

}  // namespace zerorun
