#include "comm/counting_communicator.h"

#include <chrono>
#include <mutex>

#include "core/error.h"

namespace zerorun {

Traffic::Line& Traffic::Line::operator+=(const Line& other) {
  calls += other.calls;
  bytes_sent += other.bytes_sent;
  seconds += other.seconds;
  return *this;
}

Traffic::Line Traffic::Line::operator*(int64_t times) const {
  Line product{0, 0, seconds * static_cast<double>(times)};
  if (__builtin_mul_overflow(calls, times, &product.calls) || __builtin_mul_overflow(bytes_sent, times, &product.bytes_sent)) {
    fail(ErrorKind::configuration, "the bytes that this run sends do not fit 64 bits: {} times {} bytes; expected fewer steps", times, bytes_sent);
  }
  return product;
}

Traffic& Traffic::operator+=(const Traffic& other) {
  all_gather += other.all_gather;
  reduce_scatter += other.reduce_scatter;
  all_reduce += other.all_reduce;
  control += other.control;
  return *this;
}

Traffic Traffic::operator*(int64_t times) const {
  return {all_gather * times, reduce_scatter * times, all_reduce * times, control * times};
}

struct CountingCommunicator::Counters {
  std::mutex mutex;
  Traffic traffic;

  void add(Traffic::Line Traffic::*line, const Traffic::Line& more) {
    const std::lock_guard lock(mutex);
    traffic.*line += more;
  }
};

namespace {

template <typename Action>
class OnExit {
 public:
  explicit OnExit(Action action) : action_(std::move(action)) {}
  ~OnExit() { action_(); }

 private:
  Action action_;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

CountingCommunicator::CountingCommunicator(Communicator& inner) : ForwardingCommunicator(inner), counters_(std::make_shared<Counters>()) {}

Traffic CountingCommunicator::traffic() const {
  const std::lock_guard lock(counters_->mutex);
  return counters_->traffic;
}

template <typename Start>
Work CountingCommunicator::count(Traffic::Line Traffic::*line, int64_t bytes_sent, Start start) {
  const auto timed = [counters = counters_, line](auto blocking) {
    const OnExit stop([&counters, line, begin = std::chrono::steady_clock::now()] {
      counters->add(line, {0, 0, seconds_since(begin)});
    });
    return blocking();
  };
  Work work = timed(start);
  counters_->add(line, {1, bytes_sent, 0});
  return Work([timed, work]() mutable { timed([&work] { work.wait(); }); });
}

Work CountingCommunicator::all_gather(Span slice, Span full) {
  return count(&Traffic::all_gather, (size() - 1) * slice.bytes(), [&] { return inner_.all_gather(slice, full); });
}

Work CountingCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) {
  return count(&Traffic::reduce_scatter, (size() - 1) * slice.bytes(),
               [&] { return inner_.reduce_scatter(full, slice, scratch, std::move(on_block)); });
}

Work CountingCommunicator::all_reduce(Span full, Span scratch) {
  return count(&Traffic::all_reduce, 2 * (size() - 1) * (full.bytes() / size()),
               [&] { return inner_.all_reduce(full, scratch); });
}

void CountingCommunicator::exchange(const void* mine, void* all, int64_t bytes) {
  count(&Traffic::control, (size() - 1) * bytes, [&] {
    inner_.exchange(mine, all, bytes);
    return Work();
  });
}

}  // namespace zerorun
