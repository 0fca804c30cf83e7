#include "comm/thread_barrier.h"

#include <thread>

namespace zerorun {

void ThreadBarrier::break_with(std::exception_ptr reason) {
  {
    const std::lock_guard lock(mutex_);
    if (!broken_) broken_ = reason;
  }
  changed_.notify_all();
}

void ThreadBarrier::throw_if_broken() {
  const std::lock_guard lock(mutex_);
  if (broken_) std::rethrow_exception(broken_);
}

void ThreadBarrier::meet(bool breakable) {
  std::unique_lock lock(mutex_);
  if (breakable && broken_) std::rethrow_exception(broken_);
  const uint64_t generation = generation_;
  if (++arrived_ == size_) {
    arrived_ = 0;
    ++generation_;
    lock.unlock();
    changed_.notify_all();
    return;
  }
  lock.unlock();
  for (int spin = 0; spin < 64; ++spin) {
    if (generation_ != generation) return;
    std::this_thread::yield();
  }
  lock.lock();
  changed_.wait(lock, [&] { return generation_ != generation || (breakable && broken_); });
  if (generation_ == generation) std::rethrow_exception(broken_);
}

}  // namespace zerorun
