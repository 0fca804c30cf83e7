#include "comm/windows.h"

#include <algorithm>
#include <functional>
#include <string>

#include "comm/gather.h"
#include "core/error.h"

namespace zerorun {

namespace {

// The reason why an action failed; empty where it did not.
std::string attempt(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Throws on all ranks where one of them has a reason.
void fail_together(Communicator& ranks, int first_rank, ErrorKind kind, const std::string& reason, const std::string& what) {
  const auto failed = gather(ranks, static_cast<int>(!reason.empty()));
  const auto first = std::ranges::find(failed, 1);
  if (first != failed.end()) fail(kind, "rank {} {}{}{}", first_rank + (first - failed.begin()), what, reason.empty() ? "" : ": ", reason);
}

}  // namespace

SharedMemory share_memory(Communicator& ranks, int64_t bytes, int first_rank) {
  SharedMemory memory;
  auto reason = attempt([&] {
    if (ranks.rank() == 0) memory = SharedMemory::create(bytes);
  });
  fail_together(ranks, first_rank, ErrorKind::out_of_memory, reason, fmt::format("has no memory for {} bytes that ranks share", bytes));
  const auto handle = gather(ranks, memory.handle()).front();
  reason = attempt([&] {
    if (ranks.rank() != 0) memory = SharedMemory::open(handle);
  });
  fail_together(ranks, first_rank, ErrorKind::configuration, reason, fmt::format("cannot share memory with rank {}", first_rank));
  return memory;
}

std::shared_ptr<Window> Windows::make(Communicator& ranks, const WindowPlan& plan) {
  auto memory = share_memory(ranks, plan.bytes, first_rank_);
  const auto reason = attempt([&] { memory.reserve(plan.own_begin, plan.own_bytes); });
  fail_together(ranks, first_rank_, ErrorKind::out_of_memory, reason, fmt::format("has no memory for {} bytes that it shares", plan.own_bytes));
  memory.close_descriptor();
  const auto window = add(std::move(memory), plan.sliced);
  return {window.get(), [window, windows = shared_from_this()](Window*) mutable { windows->remove(window->number); }};
}

std::shared_ptr<Window> Windows::add(SharedMemory memory, bool sliced) {
  const std::lock_guard lock(mutex_);
  auto window = std::make_shared<Window>(Window{next_number_++, std::move(memory), sliced});
  by_number_[window->number] = window;
  by_address_[window->memory.data()] = window->number;
  return window;
}

void Windows::remove(int64_t number) {
  const std::lock_guard lock(mutex_);
  std::erase_if(by_address_, [&](const auto& entry) { return entry.second == number; });
  by_number_.erase(number);
}

Place Windows::place_of(Span span) const {
  const auto* data = static_cast<const char*>(span.data);
  const std::lock_guard lock(mutex_);
  auto after = by_address_.upper_bound(data);
  if (!data || after == by_address_.begin()) return {};
  const auto& [begin, number] = *--after;
  const auto window = by_number_.at(number).lock();
  if (!window || data + span.bytes() > begin + window->memory.bytes()) return {};
  return {number, data - begin};
}

bool Windows::is_sliced_whole(Span span) const {
  const Place place = place_of(span);
  const std::lock_guard lock(mutex_);
  const auto found = by_number_.find(place.window);
  const auto window = found == by_number_.end() ? nullptr : found->second.lock();
  return window && window->sliced && place.offset == 0 && span.bytes() == window->memory.bytes();
}

void* Windows::address_of(Place place) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_number_.find(place.window);
  const auto window = found == by_number_.end() ? nullptr : found->second.lock();
  ZR_CHECK(window, "a rank's span lies in a buffer that this rank has freed; ranks free what allocate() gave in the same order");
  return window->memory.data() + place.offset;
}

}  // namespace zerorun
