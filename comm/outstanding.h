// The collectives that a rank has launched on its GPU and that are not done: what the watchdog looks at, as no thread of the host waits for them.
#pragma once
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "comm/collective.h"
#include "core/event.h"

namespace zerorun {

// They run one after the other, in the order of add(). Thread-safe.
class Outstanding {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `ready`: what this rank computes before it; `done`: its end.
  void add(const Call& call, Event ready, Event done);

  // Forgets those that are done. One that could start, its inputs ready and those before it done, and that has not been done for `seconds` of the looks since
  // is late: it waits for peers, for this rank's own work is not counted. 0: none is ever late.
  std::optional<Call> late(Time now, double seconds);
  bool empty();
  // How many are not done, and the first of them: "reduce_scatter of 1048576 x Float (backward of blocks.3), and 2 after it".
  std::string describe();

 private:
  struct Entry {
    Call call;
    Event ready, done;
    std::optional<Time> since{};  // the first look that saw it able to start
  };
  void forget_done();

  std::mutex mutex_;
  std::deque<Entry> entries_;
};

}  // namespace zerorun
