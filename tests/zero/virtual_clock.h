// Streams that take no time: tasks have durations, and a clock goes on when who computes says so, or waits. What a run would take is
// computed, and nothing sleeps. A task's work is done at some moment between its start and its end, drawn from a seed, so that a run that
// forgets to wait reads or writes the wrong bytes, on every machine alike.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/stream.h"

namespace zerorun::testing {

class VirtualClock {
 public:
  // Seconds of a task, by the name of its stream.
  using Duration = std::function<double(const std::string& stream, const Task& task)>;

  VirtualClock(Duration duration, uint64_t seed) : duration_(std::move(duration)), seed_(seed) {}

  std::unique_ptr<Stream> make_stream(const std::string& name);
  // The thread that asks computes for so long.
  void compute(double seconds);
  double now() const { return now_; }
  // That the tasks of a stream took, in all.
  double busy(const std::string& stream) const { return busy_.contains(stream) ? busy_.at(stream) : 0; }

 private:
  class VirtualStream;
  struct Scheduled;

  void advance_to(double time);
  double draw();

  const Duration duration_;
  uint64_t seed_;
  uint64_t drawn_ = 0;
  double now_ = 0;
  std::multimap<double, std::shared_ptr<Scheduled>> waiting_;  // by the moment at which the work is done
  std::map<std::string, double> busy_;
};

}  // namespace zerorun::testing
