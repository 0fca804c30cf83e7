#include "core/trace.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace zerorun {
namespace {

class TracedStream final : public Stream {
 public:
  TracedStream(std::unique_ptr<Stream> inner, Trace& trace, std::string lane) : trace_(trace), lane_(std::move(lane)), inner_(std::move(inner)) {}

  using Stream::submit;
  Event submit(Task task, std::vector<Event> after) override {
    task.run = [this, run = std::move(task.run), name = task.label, bytes = task.bytes] {
      const auto begin = Trace::Clock::now();
      run();
      trace_.add(lane_, name, begin, Trace::Clock::now(), bytes);
    };
    return inner_->submit(std::move(task), std::move(after));
  }

 private:
  Trace& trace_;
  const std::string lane_;
  std::unique_ptr<Stream> inner_;  // the last: its tasks use the rest until it is gone
};

}  // namespace

void Trace::start() {
  const std::lock_guard lock(mutex_);
  on_ = true;
  start_ = Clock::now();
}

void Trace::stop() {
  const std::lock_guard lock(mutex_);
  on_ = false;
}

// What began before the start is cut off there.
void Trace::add(const std::string& lane, const std::string& name, Clock::time_point begin, Clock::time_point end, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!on_ || end < start_) return;
  auto found = std::ranges::find(lanes_, lane);
  if (found == lanes_.end()) found = lanes_.insert(found, lane);
  spans_.push_back({static_cast<int>(found - lanes_.begin()), name, std::max(begin, start_), end, bytes});
}

double Trace::seconds_of(const Wanted& wanted) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<Clock::time_point, Clock::time_point>> times;
  for (const auto& span : spans_) {
    if (wanted(lanes_[static_cast<size_t>(span.lane)], span.name)) times.emplace_back(span.begin, span.end);
  }
  std::ranges::sort(times);
  Clock::duration time{};
  Clock::time_point end{};
  for (const auto& [from, to] : times) {
    if (to <= end) continue;
    time += to - std::max(from, end);
    end = to;
  }
  return std::chrono::duration<double>(time).count();
}

std::string Trace::json(int rank) const {
  const std::lock_guard lock(mutex_);
  using Json = nlohmann::ordered_json;
  Json events = Json::array();
  for (size_t lane = 0; lane < lanes_.size(); ++lane) {
    events.push_back({{"name", "thread_name"}, {"ph", "M"}, {"pid", rank}, {"tid", lane}, {"args", {{"name", lanes_[lane]}}}});
  }
  const auto microseconds = [](Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); };
  for (const auto& span : spans_) {
    Json event = {{"name", span.name}, {"ph", "X"}, {"pid", rank}, {"tid", span.lane}, {"ts", microseconds(span.begin - start_)}, {"dur", microseconds(span.end - span.begin)}};
    if (span.bytes > 0) event["args"] = {{"bytes", span.bytes}};
    events.push_back(std::move(event));
  }
  return Json{{"displayTimeUnit", "ms"}, {"traceEvents", events}}.dump() + "\n";
}

TraceSpan::TraceSpan(Trace* trace, const char* lane, std::string name) : trace_(trace), lane_(lane), name_(std::move(name)), begin_(Trace::Clock::now()) {}

TraceSpan::~TraceSpan() {
  if (trace_) trace_->add(lane_, name_, begin_, Trace::Clock::now());
}

std::unique_ptr<Stream> traced(std::unique_ptr<Stream> stream, Trace& trace, const std::string& lane) {
  return std::make_unique<TracedStream>(std::move(stream), trace, lane);
}

}  // namespace zerorun
