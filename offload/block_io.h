// Moves ranges of an open file in blocks, many at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace zerorun {

struct BlockOptions {
  int64_t block_bytes = 2 << 20;  // a multiple of kStoreAlignment
  int depth = 32;                 // blocks on their way at a time, in each direction
};

class BlockIo {
 public:
  virtual ~BlockIo() = default;
  // Block until done. One read and one write at a time may run beside each other; more take turns. Throw std::system_error with the errno of
  // the first block that failed; none is on its way then.
  virtual void read(int64_t offset, std::span<std::byte> to) = 0;
  virtual void write(int64_t offset, std::span<const std::byte> from) = 0;
};

// By the kernel itself. Throws std::system_error where it does not permit that (ENOSYS, EPERM) or has no memory to lock (ENOMEM).
std::unique_ptr<BlockIo> make_uring_io(int file, const BlockOptions& options);

// By threads that each read or write a block at a time: everywhere, with some loss.
std::unique_ptr<BlockIo> make_threaded_io(int file, const BlockOptions& options);

}  // namespace zerorun
