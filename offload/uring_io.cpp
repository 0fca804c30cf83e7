#include <liburing.h>

#include <cerrno>
#include <mutex>
#include <system_error>
#include <vector>

#include "offload/block_io.h"

namespace zerorun {
namespace {

// One direction: at most `depth` blocks are with the kernel.
class Ring {
 public:
  Ring(int file, bool writes, const BlockOptions& options) : file_(file), writes_(writes), block_bytes_(options.block_bytes), blocks_(static_cast<size_t>(options.depth)) {
    const int result = io_uring_queue_init(static_cast<unsigned>(options.depth), &ring_, 0);
    if (result < 0) throw std::system_error(-result, std::generic_category(), "io_uring");
  }
  ~Ring() { io_uring_queue_exit(&ring_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  void move(int64_t offset, std::byte* memory, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    std::vector<Block*> idle;
    for (Block& block : blocks_) idle.push_back(&block);
    int64_t next = 0;
    int error = 0;
    while ((next < bytes && !error) || idle.size() < blocks_.size()) {
      for (; next < bytes && !error && !idle.empty(); next += block_bytes_) {
        *idle.back() = {offset + next, memory + next, std::min(block_bytes_, bytes - next)};
        start(*idle.back());
        idle.pop_back();
      }
      const auto [block, moved] = finish_one();
      if (moved > 0) {
        *block = {block->offset + moved, block->memory + moved, block->bytes - moved};
      } else if (moved != -EINTR && moved != -EAGAIN && !error) {
        error = moved < 0 ? -moved : EIO;  // nothing moved: the file is shorter than it was
      }
      block->bytes > 0 && !error ? start(*block) : idle.push_back(block);
    }
    if (error) throw std::system_error(error, std::generic_category());
  }

 private:
  struct Block {
    int64_t offset;
    std::byte* memory;
    int64_t bytes;
  };

  void start(Block& block) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);  // as many as blocks: there always is one
    if (writes_) {
      io_uring_prep_write(entry, file_, block.memory, static_cast<unsigned>(block.bytes), static_cast<uint64_t>(block.offset));
    } else {
      io_uring_prep_read(entry, file_, block.memory, static_cast<unsigned>(block.bytes), static_cast<uint64_t>(block.offset));
    }
    io_uring_sqe_set_data(entry, &block);
  }

  std::pair<Block*, int> finish_one() {
    io_uring_cqe* done = nullptr;
    for (int result = -EINTR; result == -EINTR;) {
      io_uring_submit(&ring_);
      result = io_uring_wait_cqe(&ring_, &done);
    }
    const std::pair finished{static_cast<Block*>(io_uring_cqe_get_data(done)), done->res};
    io_uring_cqe_seen(&ring_, done);
    return finished;
  }

  const int file_;
  const bool writes_;
  const int64_t block_bytes_;
  std::vector<Block> blocks_;
  io_uring ring_{};
  std::mutex mutex_;
};

class UringIo final : public BlockIo {
 public:
  UringIo(int file, const BlockOptions& options) : reads_(file, false, options), writes_(file, true, options) {}
  void read(int64_t offset, std::span<std::byte> to) override { reads_.move(offset, to.data(), std::ssize(to)); }
  void write(int64_t offset, std::span<const std::byte> from) override {
    writes_.move(offset, const_cast<std::byte*>(from.data()), std::ssize(from));
  }

 private:
  Ring reads_, writes_;
};

}  // namespace

std::unique_ptr<BlockIo> make_uring_io(int file, const BlockOptions& options) { return std::make_unique<UringIo>(file, options); }

}  // namespace zerorun
