#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cerrno>
#include <latch>
#include <mutex>
#include <system_error>

#include "offload/block_io.h"

namespace zerorun {
namespace {

constexpr int kThreads = 8;

// One direction.
class Pool {
 public:
  Pool(int file, bool writes, const BlockOptions& options) : file_(file), writes_(writes), block_bytes_(options.block_bytes) {}

  int use_memory(std::span<std::byte>) { return 0; }

  void move(Extents extents) {
    const std::lock_guard lock(mutex_);
    Blocks left(extents, block_bytes_);
    std::mutex taking;
    const auto take = [&] {
      const std::lock_guard one(taking);
      return left.next();
    };
    std::atomic<int> error = 0;
    std::latch done(kThreads);
    for (int t = 0; t < kThreads; ++t) {
      boost::asio::post(threads_, [&] {
        for (auto block = take(); block && !error; block = take()) {
          int none = 0;
          const int failure = move_block(block->offset, block->memory.data(), std::ssize(block->memory));
          if (failure) error.compare_exchange_strong(none, failure);
        }
        done.count_down();
      });
    }
    done.wait();
    if (error) throw std::system_error(error, std::generic_category());
  }

 private:
  int move_block(int64_t offset, std::byte* memory, int64_t bytes) const {
    while (bytes > 0) {
      const ssize_t moved = writes_ ? pwrite(file_, memory, static_cast<size_t>(bytes), offset) : pread(file_, memory, static_cast<size_t>(bytes), offset);
      if (moved < 0 && errno == EINTR) continue;
      if (moved <= 0) return moved < 0 ? errno : EIO;  // nothing moved: the file is shorter than it was
      offset += moved;
      memory += moved;
      bytes -= moved;
    }
    return 0;
  }

  const int file_;
  const bool writes_;
  const int64_t block_bytes_;
  std::mutex mutex_;
  boost::asio::thread_pool threads_{kThreads};
};

}  // namespace

std::unique_ptr<BlockIo> make_threaded_io(int file, const BlockOptions& options) { return std::make_unique<BothDirections<Pool>>(file, options); }

}  // namespace zerorun
