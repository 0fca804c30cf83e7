// Order of work beside the caller's. A stream runs tasks one after the other. On CPU the calling thread computes, and streams are
// threads that move bytes, communicate and update: never autograd.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/event.h"

namespace zerorun {

struct Task {
  std::function<void()> run;
  int64_t bytes = 0;      // that it moves
  std::string label = {};  // "fetch of blocks.3"
};

class Stream {
 public:
  virtual ~Stream() = default;
  // `task` runs after all that was submitted before, and after `after`: only events that are there can be waited for, so that streams cannot
  // wait for each other in a circle. Does not wait. After an error, of a task or of an event that it waits for, no task runs any more: their
  // events carry the same error. Thread-safe.
  virtual Event submit(Task task, std::vector<Event> after = {}) = 0;
  Event submit(std::function<void()> run, std::vector<Event> after = {}) { return submit(Task{std::move(run)}, std::move(after)); }
};

// No stream at all: a task runs where it is submitted, before submit returns, which rethrows nothing: errors come out of the event.
class InlineStream final : public Stream {
 public:
  using Stream::submit;
  Event submit(Task task, std::vector<Event> after = {}) override;
};

// A thread of its own. Costs a wake-up (microseconds) per task.
class ThreadStream final : public Stream {
 public:
  // What its tasks compute they compute with so many threads.
  explicit ThreadStream(int threads = 1);
  // Runs what was submitted, then ends.
  ~ThreadStream() override;
  ThreadStream(const ThreadStream&) = delete;
  ThreadStream& operator=(const ThreadStream&) = delete;

  using Stream::submit;
  Event submit(Task task, std::vector<Event> after = {}) override;

 private:
  void run();
  void run_unless_failed(const Task& task, const std::vector<Event>& after);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::packaged_task<void()>> tasks_;
  bool closing_ = false;
  std::exception_ptr failure_;  // the thread's own
  std::thread thread_;
};

}  // namespace zerorun
