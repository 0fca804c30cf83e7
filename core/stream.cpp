#include "core/stream.h"

#include <utility>

#include "core/threads.h"

namespace zerorun {

Event InlineStream::submit(Task task, std::vector<Event> after) {
  std::packaged_task<void()> packaged([&] {
    for (const Event& event : after) event.finish();
    task.run();
  });
  packaged();
  return Event(packaged.get_future().share());
}

ThreadStream::ThreadStream(int threads)
    : thread_([this, threads] {
        set_compute_threads(threads);
        run();
      }) {}

ThreadStream::~ThreadStream() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

Event ThreadStream::submit(Task task, std::vector<Event> after) {
  // What an event refers to keeps this closure, of which nothing is left once it has run: else each event kept all that came before it.
  std::packaged_task<void()> packaged([this, task = std::move(task), after = std::move(after)]() mutable { run_unless_failed(std::exchange(task, {}), std::exchange(after, {})); });
  Event done(packaged.get_future().share());
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(packaged));
  }
  changed_.notify_one();
  return done;
}

void ThreadStream::run() {
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

void ThreadStream::run_unless_failed(const Task& task, const std::vector<Event>& after) {
  if (failure_) std::rethrow_exception(failure_);
  try {
    for (const Event& event : after) event.finish();
    task.run();
  } catch (...) {
    failure_ = std::current_exception();
    throw;
  }
}

}  // namespace zerorun
