// Where rank threads meet. A meeting spins briefly, then sleeps: there may be more ranks than cores.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>

namespace zerorun {

class ThreadBarrier {
 public:
  explicit ThreadBarrier(int size) : size_(size) {}

  // Returns when all have arrived. Throws what broke the barrier, unless all had arrived before it broke: either every
  // rank passes, or none.
  void arrive() { meet(true); }
  // The same for ranks that use each other's memory: nobody leaves early, broken or not. REQUIRES that all passed arrive()
  // and that none fails on the way here.
  void arrive_unbroken() { meet(false); }

  // From now on arrive() throws `reason`. Only the first reason counts. Safe on any thread.
  void break_with(std::exception_ptr reason);
  void throw_if_broken();

 private:
  void meet(bool breakable);

  const int size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<uint64_t> generation_ = 0;
  int arrived_ = 0;
  std::exception_ptr broken_;
};

}  // namespace zerorun
