#include "comm/worker.h"

namespace zerorun {

Worker::Worker() : thread_([this] { run(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

Work Worker::submit(std::function<void()> task) {
  std::packaged_task<void()> packaged([this, task = std::move(task)] { run_unless_failed(task); });
  std::shared_future<void> done = packaged.get_future();
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(packaged));
  }
  changed_.notify_one();
  return Work([done] { done.get(); });
}

void Worker::run() {
  for (std::unique_lock lock(mutex_);;) {
    changed_.wait(lock, [this] { return closing_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    std::packaged_task<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

void Worker::run_unless_failed(const std::function<void()>& task) {
  if (failure_) std::rethrow_exception(failure_);
  try {
    task();
  } catch (...) {
    failure_ = std::current_exception();
    throw;
  }
}

}  // namespace zerorun
