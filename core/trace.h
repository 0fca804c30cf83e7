// What runs when: the lanes of a rank over time, in the format that ui.perfetto.dev and chrome://tracing open.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/stream.h"

namespace zerorun {

// Thread-safe. Records nothing until it is started, and nothing once it is stopped.
class Trace {
 public:
  using Clock = std::chrono::steady_clock;

  void start();
  void stop();
  // `bytes` that it moved; 0 where it moves none.
  void add(const std::string& lane, const std::string& name, Clock::time_point begin, Clock::time_point end, int64_t bytes = 0);
  // The seconds during which one at least of the spans runs that `wanted` picks by lane and name.
  using Wanted = std::function<bool(const std::string& lane, const std::string& name)>;
  double seconds_of(const Wanted& wanted) const;
  // Chrome's trace events: a lane is a thread of process `rank`; microseconds from the start.
  std::string json(int rank) const;

 private:
  struct Span {
    int lane;
    std::string name;
    Clock::time_point begin, end;
    int64_t bytes;
  };

  mutable std::mutex mutex_;
  bool on_ = false;
  Clock::time_point start_;
  std::vector<std::string> lanes_;
  std::vector<Span> spans_;
};

// From its construction to its end, on `lane`. Nothing where `trace` is null.
class TraceSpan {
 public:
  TraceSpan(Trace* trace, const char* lane, std::string name);
  ~TraceSpan();
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  Trace* trace_;
  const char* lane_;
  std::string name_;
  Trace::Clock::time_point begin_;
};

// The stream, with its tasks in the trace, on a lane of its own. REQUIRES that the trace outlives it.
std::unique_ptr<Stream> traced(std::unique_ptr<Stream> stream, Trace& trace, const std::string& lane);

}  // namespace zerorun
