// A thread that runs closures one after the other, in the order of submission. The MPI backend keeps its calls on one.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "comm/communicator.h"

namespace zerorun {

// submit() is thread-safe. Costs a wake-up of the thread (microseconds) per closure.
class Worker {
 public:
  Worker();
  // Runs what was submitted, then ends.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The Work is done when `task` has run; its wait() rethrows what the task threw, and may outlive the worker. After an
  // error no task runs any more: their Works carry the same error.
  Work submit(std::function<void()> task);

 private:
  void run();
  void run_unless_failed(const std::function<void()>& task);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::packaged_task<void()>> tasks_;
  bool closing_ = false;
  std::exception_ptr failure_;  // the thread's own
  std::thread thread_;
};

}  // namespace zerorun
