// A file without a name: two runs may share a folder, nobody can remove it under a run, and however a run ends nothing of it stays.
// Read and written past the page cache where the file system can, so that memory is not taken twice.
#pragma once
#include <memory>
#include <string>

#include "core/memory.h"
#include "offload/block_io.h"
#include "offload/store.h"

namespace zerorun {

struct DiskStoreOptions {
  BlockOptions blocks = {};
  bool may_use_uring = true;
};

class DiskStore : public Store {
 public:
  // In `folder`, which must be there. Takes the space at once, and charges `ledger` with it as disk. Throws Error(cannot_create) where no file can be made,
  // Error(io) where there is too little space, Error(configuration) where the folder is memory (tmpfs).
  DiskStore(const std::string& folder, int64_t bytes, MemoryLedger& ledger, const DiskStoreOptions& options = {});
  ~DiskStore() override;
  DiskStore(const DiskStore&) = delete;
  DiskStore& operator=(const DiskStore&) = delete;

  int64_t bytes() const override { return bytes_; }
  std::string note() const override;
  bool is_memory() const override { return false; }
  std::byte* data() override { return nullptr; }
  void use_memory(std::span<std::byte> memory) override;
  using Store::read, Store::write;
  void read(Extents to) override;
  void write(Extents from) override;

 private:
  void open_file();
  void take_space();
  void choose_io(const DiskStoreOptions& options);
  void move(Extents extents, void (BlockIo::*way)(Extents), const char* verb);

  const std::string folder_;
  MemoryLedger& ledger_;
  const int64_t bytes_;
  int file_ = -1;
  std::string note_, memory_note_;
  std::unique_ptr<BlockIo> io_;
};

}  // namespace zerorun
