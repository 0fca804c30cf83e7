// Something that will have happened, for others to wait for: the end of a task of a stream.
#pragma once
#include <chrono>
#include <future>
#include <memory>
#include <utility>

namespace zerorun {

// Copies are the same event. One that was made from nothing has happened.
class Event {
 public:
  // Of a kind of stream.
  struct State {
    virtual ~State() = default;
    virtual void wait() = 0;
    virtual void finish() = 0;
    virtual bool has_happened() const = 0;
  };

  Event() = default;
  explicit Event(std::shared_ptr<State> state) : state_(std::move(state)) {}
  explicit Event(std::shared_future<void> done) : Event(std::make_shared<Future>(std::move(done))) {}

  // What the calling thread computes next comes after it. On a CPU this blocks; with an event of a GPU what the thread launches next is put behind it, and
  // the thread goes on. Rethrows what the task threw, or what kept it from running. May outlive the stream.
  void wait() const {
    if (state_) state_->wait();
  }
  // Blocks until it has happened: for who reads on the host what it stands for, or gives its memory away. Rethrows as wait().
  void finish() const {
    if (state_) state_->finish();
  }
  bool has_happened() const { return !state_ || state_->has_happened(); }
  const State* state() const { return state_.get(); }

 private:
  struct Future final : State {
    explicit Future(std::shared_future<void> end) : done(std::move(end)) {}
    void wait() override { done.get(); }
    void finish() override { done.get(); }
    bool has_happened() const override { return done.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }
    std::shared_future<void> done;
  };

  std::shared_ptr<State> state_;
};

}  // namespace zerorun
