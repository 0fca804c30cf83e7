#include "comm/thread_communicator.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/buffers.h"
#include "comm/collective.h"
#include "comm/rank_sum.h"
#include "comm/thread_barrier.h"
#include "core/error.h"

namespace zerorun {
namespace {

struct Input {
  Call call;
  Span span;
};

}  // namespace

struct ThreadWorld::Meeting {
  explicit Meeting(int size) : barrier(size), inputs(size) {}

  // Returns when all ranks have made the same call. Their memory is theirs to share until the next arrive_unbroken().
  void begin(int rank, Collective kind, Span span) {
    barrier.throw_if_broken();
    inputs[rank] = {{kind, span.dtype, span.count}, span};
    barrier.arrive();
    if (std::ranges::all_of(inputs, [this](const Input& input) { return input.call == inputs[0].call; })) return;
    std::vector<CallOfRank> calls;
    for (size_t r = 0; r < inputs.size(); ++r) calls.push_back({static_cast<int>(r), inputs[r].call});
    try {
      fail_disagreement(calls);
    } catch (...) {  // the barrier breaks first: a rank that calls again must not touch `inputs`, which others still compare
      barrier.break_with(std::current_exception());
      throw;
    }
  }

  void leave(int rank) {
    barrier.break_with(std::make_exception_ptr(
        Error(ErrorKind::disagreement,
              fmt::format("rank {} has ended, but another rank calls a collective; all ranks must make the same calls", rank))));
  }

  ThreadBarrier barrier;
  std::vector<Input> inputs;
};

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadWorld::Meeting> meeting, int rank) : meeting_(std::move(meeting)), rank_(rank) {}
  ~ThreadCommunicator() override { meeting_->leave(rank_); }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(meeting_->inputs.size()); }

  Work all_gather(Span slice, Span full) override {
    check_all_gather(*this, slice, full);
    check_data(slice);
    check_data(full);
    gather(Collective::all_gather, slice, full);
    return {};
  }

  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    check_reduce_scatter(*this, full, slice, scratch);
    check_data(full);
    check_data(slice);
    meeting_->begin(rank_, Collective::reduce_scatter, full);
    sum_own_slices(slice, on_block);
    meeting_->barrier.arrive_unbroken();
    return {};
  }

  Work all_reduce(Span full, Span scratch) override {
    check_all_reduce(*this, full, scratch);
    check_data(full);
    meeting_->begin(rank_, Collective::all_reduce, full);
    sum_own_slices(full.slice(rank_, size()));
    meeting_->barrier.arrive_unbroken();
    for (int r = 0; r < size(); ++r) copy(meeting_->inputs[r].span.slice(r, size()), full.slice(r, size()));
    meeting_->barrier.arrive_unbroken();
    return {};
  }

  void exchange(const void* mine, void* all, int64_t bytes) override {
    check_exchange(mine, all, bytes);
    gather(Collective::exchange, {const_cast<void*>(mine), bytes, at::kByte}, {all, bytes * size(), at::kByte});
  }

  at::Tensor allocate(int64_t bytes) override { return host_buffer(bytes); }

 private:
  void gather(Collective kind, Span slice, Span full) {
    meeting_->begin(rank_, kind, slice);
    for (int r = 0; r < size(); ++r) copy(meeting_->inputs[r].span, full.slice(r, size()));
    meeting_->barrier.arrive_unbroken();
  }

  // In place too: nobody but this rank touches its slice of anyone's input.
  void sum_own_slices(Span slice, const OnBlock& on_block = {}) {
    std::vector<const void*> parts;
    for (const Input& input : meeting_->inputs) parts.push_back(input.span.slice(rank_, size()).data);
    rank_sum(parts, slice, on_block);
  }

  const std::shared_ptr<ThreadWorld::Meeting> meeting_;
  const int rank_;
};

ThreadWorld::ThreadWorld(int size) {
  ZR_CHECK(size >= 1, "a world of {} ranks", size);
  meeting_ = std::make_shared<Meeting>(size);
}

std::unique_ptr<Communicator> ThreadWorld::communicator(int rank) {
  ZR_CHECK(rank >= 0 && rank < static_cast<int>(meeting_->inputs.size()), "rank {} of a world of {}", rank,
           meeting_->inputs.size());
  return std::make_unique<ThreadCommunicator>(meeting_, rank);
}

void ThreadWorld::abort() {
  meeting_->barrier.break_with(
      std::make_exception_ptr(PeerFailed(ErrorKind::stopped, "another rank failed; its message says why")));
}

void run_ranks(int size, const std::function<void(Communicator&)>& body) {
  ThreadWorld world(size);
  std::mutex mutex;
  std::exception_ptr first_error;
  const auto run = [&](int rank) {
    const auto communicator = world.communicator(rank);
    try {
      body(*communicator);
    } catch (...) {
      // Recorded before the others can know: their PeerFailed always comes second.
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::current_exception();
      world.abort();
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) threads.emplace_back(run, rank);
  for (std::thread& thread : threads) thread.join();
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace zerorun
