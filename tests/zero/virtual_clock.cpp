#include "tests/zero/virtual_clock.h"

#include <algorithm>
#include <exception>

#include "core/random.h"

namespace zerorun::testing {

struct VirtualClock::Scheduled final : Event::State {
  Scheduled(VirtualClock& its_clock, double its_end, std::function<void()> its_work) : clock(its_clock), end(its_end), work(std::move(its_work)) {}

  void wait() override {
    clock.advance_to(end);
    if (error) std::rethrow_exception(error);
  }
  void finish() override { wait(); }
  bool has_happened() const override { return clock.now_ >= end; }
  void run() {
    try {
      std::exchange(work, nullptr)();
    } catch (...) {
      error = std::current_exception();
    }
  }

  VirtualClock& clock;
  const double end;
  std::function<void()> work;
  std::exception_ptr error;
};

class VirtualClock::VirtualStream final : public Stream {
 public:
  VirtualStream(VirtualClock& clock, std::string name) : clock_(clock), name_(std::move(name)) {}
  ~VirtualStream() override { clock_.advance_to(end_); }

  using Stream::submit;
  Event submit(Task task, std::vector<Event> after) override {
    double start = std::max(clock_.now_, end_);
    for (const Event& event : after) {
      if (const auto* before = dynamic_cast<const Scheduled*>(event.state())) start = std::max(start, before->end);
    }
    const double seconds = clock_.duration_(name_, task);
    clock_.busy_[name_] += seconds;
    const double moment = std::max(start + seconds * clock_.draw(), last_moment_);
    last_moment_ = moment;
    end_ = start + seconds;
    const auto scheduled = std::make_shared<Scheduled>(clock_, end_, [this, run = std::move(task.run), after = std::move(after)] {
      if (failure_) std::rethrow_exception(failure_);
      try {
        for (const Event& event : after) {
          const auto* before = dynamic_cast<const Scheduled*>(event.state());
          if (before && before->error) std::rethrow_exception(before->error);
        }
        run();
      } catch (...) {
        failure_ = std::current_exception();
        throw;
      }
    });
    clock_.waiting_.emplace(moment, scheduled);
    return Event(std::shared_ptr<Event::State>(scheduled));
  }

 private:
  VirtualClock& clock_;
  const std::string name_;
  double end_ = 0, last_moment_ = 0;
  std::exception_ptr failure_;
};

std::unique_ptr<Stream> VirtualClock::make_stream(const std::string& name) { return std::make_unique<VirtualStream>(*this, name); }

// Half of what others do meanwhile is done before what is computed here, half after.
void VirtualClock::compute(double seconds) { advance_to(now_ + seconds); }

void VirtualClock::advance_to(double time) {
  now_ = std::max(now_, time);
  while (!waiting_.empty() && waiting_.begin()->first <= now_) {
    const auto next = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    next->run();
  }
}

double VirtualClock::draw() {
  const auto words = philox4x32_10({static_cast<uint32_t>(drawn_++), 0, 0, 0}, {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
  return words[0] * 0x1p-32;
}

}  // namespace zerorun::testing
