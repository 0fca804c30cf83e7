#include "comm/watchdog.h"

#include <chrono>

namespace zerorun {

Watchdog::Watchdog(double seconds, std::function<void()> on_timeout)
    : thread_([this, seconds, on_timeout = std::move(on_timeout)] {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return stopped_; })) on_timeout();
      }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

}  // namespace zerorun
