#include "tests/gpu/stand_in/memory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/gpu/stand_in/timeline.h"

namespace stand_in {
namespace {

constexpr int kMostDevices = 8;

std::size_t number(const char* name, std::size_t otherwise) {
  const char* const text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// What all processes have taken: in a file that they share where STAND_IN_USE names one.
std::atomic<std::size_t>* uses() {
  static auto* const counters = [] {
    const char* const path = std::getenv("STAND_IN_USE");
    const int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    constexpr std::size_t kBytes = kMostDevices * sizeof(std::atomic<std::size_t>);
    if (path && (file < 0 || ftruncate(file, kBytes) != 0)) std::abort();
    const bool is_first = path && flock(file, LOCK_EX | LOCK_NB) == 0;  // whoever was there before has gone, in good order or not
    void* const shared = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file, 0);
    if (shared == MAP_FAILED) std::abort();
    if (is_first) std::memset(shared, 0, kBytes);
    if (path) flock(file, LOCK_SH);
    return static_cast<std::atomic<std::size_t>*>(shared);
  }();
  return counters;
}

// Of one number all GPUs have so much; of several each its own.
std::size_t total(int device) {
  static const std::vector<std::size_t> all = [] {
    const char* const text = std::getenv("STAND_IN_BYTES");
    std::vector<std::size_t> bytes;
    std::stringstream numbers(text ? text : "4294967296");
    for (std::string part; std::getline(numbers, part, ',');) bytes.push_back(std::stoull(part));
    return bytes;
  }();
  return all[std::min(static_cast<std::size_t>(device), all.size() - 1)];
}

std::mutex mutex;
auto& ranges = *new std::map<const char*, Range>;  // by where they end

void add(Range range) {
  const std::lock_guard lock(mutex);
  ranges[range.begin + range.bytes] = range;
}

// Those that lie within are gone.
int remove_within(const char* begin, std::size_t bytes) {
  const std::lock_guard lock(mutex);
  int removed = 0;
  for (auto next = ranges.upper_bound(begin); next != ranges.end() && next->second.begin >= begin && next->first <= begin + bytes; ++removed) next = ranges.erase(next);
  return removed;
}

// The process' own: given back at its end, however it ends in good order.
std::atomic<std::size_t> own[kMostDevices];

const int at_end = std::atexit([] {
  for (int i = 0; i < kMostDevices; ++i) uses()[i] -= own[i];
});

}  // namespace

int device_count() {
  static const int count = static_cast<int>(number("STAND_IN_GPUS", 1));
  return count;
}

std::optional<Range> range_of(const void* data) {
  const std::lock_guard lock(mutex);
  const auto next = ranges.upper_bound(static_cast<const char*>(data));
  if (next == ranges.end() || next->second.begin > data) return std::nullopt;
  return next->second;
}

std::optional<Place> place_of(const void* data, std::size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  const auto first = range_of(at);
  if (!first) return Place::pageable;
  for (const char* end = at + bytes; at < end;) {  // pages may be opened one stretch after the other
    const auto range = range_of(at);
    if (!range || range->place != first->place) return std::nullopt;
    at = range->begin + range->bytes;
  }
  return first->place;
}

void* reserve(std::size_t bytes) {
  void* const at = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

bool take(int device, std::size_t bytes) {
  auto& used = uses()[device];
  if (used.fetch_add(bytes) + bytes > total(device)) {
    used -= bytes;
    return false;
  }
  own[device] += bytes;
  return true;
}

void give_back(int device, std::size_t bytes) {
  uses()[device] -= bytes;
  own[device] -= bytes;
}

void open_pages(void* at, std::size_t bytes, int device) {
  if (mprotect(at, bytes, PROT_READ | PROT_WRITE) != 0) std::abort();
  if (!skips_kernels()) std::memset(at, 0xff, bytes);  // whoever reads what nothing wrote shall see it
  add({static_cast<char*>(at), bytes, Place::device, device});
}

void close_pages(void* at, std::size_t bytes) {
  remove_within(static_cast<char*>(at), bytes);
  if (mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) std::abort();
}

void unreserve(void* at, std::size_t bytes) { munmap(at, bytes); }

bool pin(void* data, std::size_t bytes) {
  if (range_of(data) || range_of(static_cast<char*>(data) + bytes - 1)) return false;
  add({static_cast<char*>(data), bytes, Place::pinned, 0});
  return true;
}

bool unpin(void* data) {
  const auto range = range_of(data);
  return range && range->begin == data && range->place == Place::pinned && remove_within(range->begin, range->bytes) == 1;
}

Use use_of(int device) { return {total(device) - uses()[device], total(device)}; }

}  // namespace stand_in
