// Streams and events of the GPU that stands in: work of a stream runs in order, on a thread of its own, beside the host and the other streams.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

namespace stand_in {

using Work = std::function<void()>;

// What the host asks of the GPU, counted for STAND_IN_COUNTS, a file that gets them at the end of the process.
enum class Asked { kernel, product, copy, fill, event, wait, host_wait };
void count(Asked what);

// In order; what is submitted runs later, and the later the more the seed of the run says (STAND_IN_SEED; 0: as soon as may be).
class Timeline {
 public:
  explicit Timeline(unsigned int number);
  ~Timeline();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  void submit(Work work);
  void wait();  // blocks until all that was submitted has run
  bool idle();

 private:
  void run();
  void dawdle();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> pending_;
  bool busy_ = false, ends_ = false;
  std::mt19937 random_;
  std::thread thread_;  // from the first work on
};

// A point in the order of the timeline that it was last recorded on.
class Mark {
 public:
  void record(Timeline& on);
  // What is submitted to `timeline` from now on comes after the point as it is recorded now.
  void hold(Timeline& timeline);
  void wait();
  bool has_happened();
  double milliseconds_since(const Mark& earlier) const;  // REQUIRES that both have happened

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    uint64_t recorded = 0, happened = 0;
    std::chrono::steady_clock::time_point time;  // when it last happened
  };
  static void wait_for(State& state, uint64_t point);

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// That of the handle: 0 is the default one.
Timeline& timeline_of(const void* stream);
void for_each_timeline(const std::function<void(Timeline&)>& body);

bool has_context_on(int device);

// Kernels of libraries do nothing: throughout the process (STAND_IN_SKIPS), or where who calls does their work.
bool skips_kernels();

// On the calling thread, while it lives.
class SkippingKernels {
 public:
  SkippingKernels();
  ~SkippingKernels();
  SkippingKernels(const SkippingKernels&) = delete;
  SkippingKernels& operator=(const SkippingKernels&) = delete;
};
bool is_skipping_here();

}  // namespace stand_in
