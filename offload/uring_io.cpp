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

  // Its pages are found and pinned once, instead of for each block.
  int use_memory(std::span<std::byte> memory) {
    const std::lock_guard lock(mutex_);
    if (!registered_.empty()) io_uring_unregister_buffers(&ring_);
    registered_ = {};
    if (memory.empty()) return 0;
    const iovec whole{memory.data(), memory.size()};
    const int result = io_uring_register_buffers(&ring_, &whole, 1);
    if (result == 0) registered_ = memory;
    return -result;
  }

  void move(Extents extents) {
    const std::lock_guard lock(mutex_);
    std::vector<Extent*> idle;
    for (Extent& block : blocks_) idle.push_back(&block);
    Blocks left(extents, block_bytes_);
    auto next = left.next();
    int error = 0;
    while ((next && !error) || idle.size() < blocks_.size()) {
      for (; next && !error && !idle.empty(); next = left.next()) {
        *idle.back() = *next;
        start(*idle.back());
        idle.pop_back();
      }
      const auto [block, moved] = finish_one();
      if (moved > 0) {
        *block = {block->offset + moved, block->memory.subspan(static_cast<size_t>(moved))};
      } else if (moved != -EINTR && moved != -EAGAIN && !error) {
        error = moved < 0 ? -moved : EIO;  // nothing moved: the file is shorter than it was
      }
      !block->memory.empty() && !error ? start(*block) : idle.push_back(block);
    }
    if (error) throw std::system_error(error, std::generic_category());
  }

 private:
  void start(Extent& block) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);  // as many as blocks: there always is one
    const auto size = static_cast<unsigned>(block.memory.size());
    const auto offset = static_cast<uint64_t>(block.offset);
    auto* const data = block.memory.data();
    if (data >= registered_.data() && data + size <= registered_.data() + registered_.size()) {
      writes_ ? io_uring_prep_write_fixed(entry, file_, data, size, offset, 0) : io_uring_prep_read_fixed(entry, file_, data, size, offset, 0);
    } else {
      writes_ ? io_uring_prep_write(entry, file_, data, size, offset) : io_uring_prep_read(entry, file_, data, size, offset);
    }
    io_uring_sqe_set_data(entry, &block);
  }

  std::pair<Extent*, int> finish_one() {
    io_uring_cqe* done = nullptr;
    for (int result = -EINTR; result == -EINTR;) {
      io_uring_submit(&ring_);
      result = io_uring_wait_cqe(&ring_, &done);
    }
    const std::pair finished{static_cast<Extent*>(io_uring_cqe_get_data(done)), done->res};
    io_uring_cqe_seen(&ring_, done);
    return finished;
  }

  const int file_;
  const bool writes_;
  const int64_t block_bytes_;
  std::vector<Extent> blocks_;
  io_uring ring_{};
  std::span<std::byte> registered_;
  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<BlockIo> make_uring_io(int file, const BlockOptions& options) { return std::make_unique<BothDirections<Ring>>(file, options); }

}  // namespace zerorun
