// Moves parts of an open file in blocks, many at a time.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>

#include "offload/store.h"

namespace zerorun {

struct BlockOptions {
  int64_t block_bytes = 2 << 20;  // a multiple of kStoreAlignment
  int depth = 32;                 // blocks on their way at a time, in each direction
};

// The blocks of extents, one after the other.
class Blocks {
 public:
  Blocks(Extents extents, int64_t block_bytes) : extents_(extents), block_bytes_(static_cast<size_t>(block_bytes)) {}
  std::optional<Extent> next() {
    while (!extents_.empty() && done_ == extents_.front().memory.size()) extents_ = extents_.subspan(1), done_ = 0;
    if (extents_.empty()) return {};
    const auto& [offset, memory] = extents_.front();
    const Extent block{offset + static_cast<int64_t>(done_), memory.subspan(done_, std::min(block_bytes_, memory.size() - done_))};
    done_ += block.memory.size();
    return block;
  }

 private:
  Extents extents_;
  const size_t block_bytes_;
  size_t done_ = 0;  // of the first extent
};

class BlockIo {
 public:
  virtual ~BlockIo() = default;
  // Block until done. One read and one write at a time may run beside each other; more take turns. Throw std::system_error with the errno of
  // the first block that failed; none is on its way then.
  virtual void read(Extents to) = 0;
  virtual void write(Extents from) = 0;
  // Most blocks will lie in this memory, which stays; no move is under way. Returns errno where it cannot be prepared for that; moves work as before then.
  virtual int use_memory(std::span<std::byte> memory) = 0;
};

// Of a Direction(file, writes, options), whose move(extents) is one of the two.
template <typename Direction>
class BothDirections final : public BlockIo {
 public:
  BothDirections(int file, const BlockOptions& options) : reads_(file, false, options), writes_(file, true, options) {}
  void read(Extents to) override { reads_.move(to); }
  void write(Extents from) override { writes_.move(from); }
  int use_memory(std::span<std::byte> memory) override {
    const int of_reads = reads_.use_memory(memory), of_writes = writes_.use_memory(memory);
    return of_reads ? of_reads : of_writes;
  }

 private:
  Direction reads_, writes_;
};

// By the kernel itself. Throws std::system_error where it does not permit that (ENOSYS, EPERM) or has no memory to lock (ENOMEM).
std::unique_ptr<BlockIo> make_uring_io(int file, const BlockOptions& options);

// By threads that each read or write a block at a time: everywhere, with some loss.
std::unique_ptr<BlockIo> make_threaded_io(int file, const BlockOptions& options);

}  // namespace zerorun
