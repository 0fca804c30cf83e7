#include "tests/gpu/stand_in/timeline.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace stand_in {
namespace {

unsigned int seed() {
  static const unsigned int value = [] {
    const char* const text = std::getenv("STAND_IN_SEED");
    return text ? static_cast<unsigned int>(std::strtoul(text, nullptr, 10)) : 0u;
  }();
  return value;
}

constexpr int kMostDelay = 300;  // microseconds

constexpr int kKinds = 7;
std::atomic<long> counts[kKinds];

const int at_end = std::atexit([] {
  const char* const path = std::getenv("STAND_IN_COUNTS");
  std::FILE* const file = path ? std::fopen(path, "w") : nullptr;
  if (!file) return;
  constexpr const char* kNames[kKinds] = {"kernels", "products", "copies", "fills", "events", "waits", "host_waits"};
  for (int i = 0; i < kKinds; ++i) std::fprintf(file, "%s\"%s\": %ld", i == 0 ? "{" : ", ", kNames[i], counts[i].load());
  std::fputs("}\n", file);
  std::fclose(file);
});

}  // namespace

void count(Asked what) { ++counts[static_cast<int>(what)]; }

Timeline::Timeline(unsigned int number) : random_(seed() * 1000 + number) {}

Timeline::~Timeline() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Timeline::submit(Work work) {
  const std::lock_guard lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  pending_.push_back(std::move(work));
  changed_.notify_all();
}

void Timeline::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return pending_.empty() && !busy_; });
}

bool Timeline::idle() {
  const std::lock_guard lock(mutex_);
  return pending_.empty() && !busy_;
}

void Timeline::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ends_ || !pending_.empty(); });
    if (pending_.empty()) return;
    const Work work = std::move(pending_.front());
    pending_.pop_front();
    busy_ = true;
    lock.unlock();
    dawdle();
    work();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void Timeline::dawdle() {
  if (seed() == 0 || random_() % 4 != 0) return;
  std::this_thread::sleep_for(std::chrono::microseconds(random_() % kMostDelay));
}

bool skips_kernels() {
  static const bool skips = std::getenv("STAND_IN_SKIPS") != nullptr;
  return skips;
}

namespace {
thread_local bool skipping_here = false;
}
SkippingKernels::SkippingKernels() { skipping_here = true; }
SkippingKernels::~SkippingKernels() { skipping_here = false; }
bool is_skipping_here() { return skipping_here; }

void Mark::record(Timeline& on) {
  count(Asked::event);
  uint64_t point = 0;
  {
    const std::lock_guard lock(state_->mutex);
    point = ++state_->recorded;
  }
  on.submit([state = state_, point] {
    const std::lock_guard lock(state->mutex);
    state->happened = std::max(state->happened, point);
    state->time = std::chrono::steady_clock::now();
    state->changed.notify_all();
  });
}

void Mark::wait_for(State& state, uint64_t point) {
  std::unique_lock lock(state.mutex);
  state.changed.wait(lock, [&] { return state.happened >= point; });
}

void Mark::hold(Timeline& timeline) {
  const std::lock_guard lock(state_->mutex);
  if (state_->happened >= state_->recorded) return;
  timeline.submit([state = state_, point = state_->recorded] { wait_for(*state, point); });
}

void Mark::wait() {
  uint64_t point = 0;
  {
    const std::lock_guard lock(state_->mutex);
    point = state_->recorded;
  }
  wait_for(*state_, point);
}

bool Mark::has_happened() {
  const std::lock_guard lock(state_->mutex);
  return state_->happened >= state_->recorded;
}

double Mark::milliseconds_since(const Mark& earlier) const { return std::chrono::duration<double, std::milli>(state_->time - earlier.state_->time).count(); }

}  // namespace stand_in
