#include "comm/windows.h"

#include "core/error.h"

namespace zerorun {

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
