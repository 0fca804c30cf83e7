#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/gpu/emulation/cuda_runtime.h"
#include "tests/gpu/emulation/order.h"

namespace emulation {
namespace {

constexpr std::size_t kStack = std::size_t{128} << 10;
constexpr unsigned int kWarp = 32, kMostThreads = 1024;

unsigned int seed = 0;

std::vector<unsigned int> in_some_order(unsigned int count) {
  std::vector<unsigned int> order(count);
  std::iota(order.begin(), order.end(), 0u);
  if (seed != 0) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  return order;
}

enum class Wait { nothing, warp, block, finished };

using boost::context::fiber;

// A stack that runs threads one after the other, until one of them waits.
struct Fiber {
  fiber context;  // to go on with
  unsigned int thread = 0;
};

// Stacks of threads that have run to their end, for the next.
std::vector<std::unique_ptr<Fiber>> idle;

class Block {
 public:
  Block(unsigned int threads, const std::function<void()>& thread) : body_(thread), order_(in_some_order(threads)), threads_(threads) {
    if (threads == 0 || threads % kWarp != 0 || threads > kMostThreads) throw std::logic_error("a block has whole warps, and at most 1024 threads");
  }

  void run() {
    std::fill_n(waits_, threads_, Wait::nothing);
    next_ = 0;
    while (next_ < threads_) resume(fresh());
    while (release()) {
      for (auto& fiber : std::exchange(waiting_, {})) {
        if (waits_[fiber->thread] == Wait::nothing) {
          resume(std::move(fiber));
        } else {
          waiting_.push_back(std::move(fiber));
        }
      }
    }
    if (waiting_.empty()) return;
    waiting_.clear();
    throw std::logic_error("threads of a block wait for others that do not come");
  }

  void wait(Wait what) {
    waits_[current_->thread] = what;
    scheduler_ = std::move(scheduler_).resume();
    threadIdx.x = current_->thread;
  }

  // A thread is at most one exchange ahead of the others of its warp.
  void exchange(const void* mine, void* theirs, std::size_t bytes, unsigned int source) {
    const unsigned int thread = current_->thread;
    const bool odd = odd_[thread] = !odd_[thread];
    std::memcpy(slots_[thread][odd], mine, bytes);
    wait(Wait::warp);
    std::memcpy(theirs, slots_[thread / kWarp * kWarp + source][odd], bytes);
  }

 private:
  static std::unique_ptr<Fiber> fresh();

  void go() {
    while (next_ < threads_) {
      threadIdx.x = current_->thread = order_[next_++];
      body_();
      waits_[current_->thread] = Wait::finished;
    }
  }

  void resume(std::unique_ptr<Fiber> fiber) {
    current_ = fiber.get();
    current_->context = std::move(current_->context).resume();
    const bool waits = waits_[current_->thread] != Wait::finished;
    (waits ? waiting_ : idle).push_back(std::move(fiber));
  }

  // Lets those go on for whom all have come: who waits for a warp while others of it have finished, or wait for the block, waits for ever.
  bool release() {
    bool any = false;
    for (unsigned int first = 0; first < threads_; first += kWarp) any |= release(waits_ + first, kWarp, Wait::warp);
    return any || release(waits_, threads_, Wait::block);
  }
  static bool release(Wait* waits, unsigned int count, Wait what) {
    if (!std::all_of(waits, waits + count, [&](Wait wait) { return wait == what; })) return false;
    std::fill_n(waits, count, Wait::nothing);
    return true;
  }

  const std::function<void()>& body_;
  const std::vector<unsigned int> order_;
  const unsigned int threads_;
  unsigned int next_ = 0;
  fiber scheduler_;
  Fiber* current_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> waiting_;
  Wait waits_[kMostThreads];
  bool odd_[kMostThreads] = {};
  alignas(8) char slots_[kMostThreads][2][8];
};

Block* running = nullptr;

std::unique_ptr<Fiber> Block::fresh() {
  if (!idle.empty()) {
    auto fiber = std::move(idle.back());
    idle.pop_back();
    return fiber;
  }
  auto fiber = std::make_unique<Fiber>();
  fiber->context = {std::allocator_arg, boost::context::fixedsize_stack(kStack), [](boost::context::fiber&& scheduler) {
                      for (;;) {
                        running->scheduler_ = std::move(scheduler);
                        running->go();
                        scheduler = std::move(running->scheduler_).resume();
                      }
                      return std::move(scheduler);
                    }};
  return fiber;
}

}  // namespace

void set_order(unsigned int of) { seed = of; }

void wait_for_block() { running->wait(Wait::block); }
void wait_for_warp() { running->wait(Wait::warp); }
void exchange(const void* mine, void* theirs, std::size_t bytes, unsigned int source) { running->exchange(mine, theirs, bytes, source); }

void run(dim3 grid, dim3 block, const std::function<void()>& thread) {
  if (grid.y != 1 || grid.z != 1 || block.y != 1 || block.z != 1) throw std::logic_error("kernels here have one dimension");
  gridDim = grid;
  blockDim = block;
  Block emulated(block.x, thread);
  running = &emulated;
  for (const unsigned int b : in_some_order(grid.x)) {
    blockIdx.x = b;
    emulated.run();
  }
  running = nullptr;
}

__attribute__((weak)) void launch(cudaStream_t, dim3 grid, dim3 block, std::function<void()> thread) { run(grid, block, thread); }

}  // namespace emulation

namespace zerorun::gpu {

// Weak: where zerorun is built with CUDA it has its own.
__attribute__((weak)) void check_launch(int error, const char* kernel) {
  if (error != 0) throw std::logic_error(kernel);
}

}  // namespace zerorun::gpu
