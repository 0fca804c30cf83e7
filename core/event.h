// Something that will have happened, for others to wait for: the end of a task of a stream.
#pragma once
#include <chrono>
#include <future>
#include <utility>

namespace zerorun {

// Copies are the same event. One that was made from nothing has happened.
class Event {
 public:
  Event() = default;
  explicit Event(std::shared_future<void> done) : done_(std::move(done)) {}
  // Blocks; rethrows what the task threw, or what kept it from running. May outlive the stream.
  void wait() const {
    if (done_.valid()) done_.get();
  }
  bool has_happened() const { return !done_.valid() || done_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

 private:
  std::shared_future<void> done_;
};

}  // namespace zerorun
