#include "comm/outstanding.h"

#include <fmt/format.h>

namespace zerorun {

void Outstanding::add(const Call& call, Event ready, Event done) {
  const std::lock_guard lock(mutex_);
  forget_done();
  entries_.push_back({call, std::move(ready), std::move(done)});
}

std::optional<Call> Outstanding::late(Time now, double seconds) {
  const std::lock_guard lock(mutex_);
  forget_done();
  if (entries_.empty() || !entries_.front().ready.has_happened()) return {};
  Entry& first = entries_.front();
  if (!first.since) first.since = now;
  if (seconds <= 0 || now - *first.since < std::chrono::duration<double>(seconds)) return {};
  return first.call;
}

bool Outstanding::empty() {
  const std::lock_guard lock(mutex_);
  forget_done();
  return entries_.empty();
}

std::string Outstanding::describe() {
  const std::lock_guard lock(mutex_);
  forget_done();
  if (entries_.empty()) return "no collective";
  const auto first = entries_.front().call.describe();
  return entries_.size() == 1 ? first : fmt::format("{}, and {} after it", first, entries_.size() - 1);
}

void Outstanding::forget_done() {
  while (!entries_.empty() && entries_.front().done.has_happened()) entries_.pop_front();
}

}  // namespace zerorun
