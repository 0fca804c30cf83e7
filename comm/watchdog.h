// Calls back, once, on a thread of its own, unless it is destroyed within its time.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace zerorun {

class Watchdog {
 public:
  Watchdog(double seconds, std::function<void()> on_timeout);
  // A callback that has begun is waited for.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace zerorun
