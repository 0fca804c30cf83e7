// Collectives over memory of a GPU by way of host memory: copied there, done by a communicator of the host, copied back. Slow. For ranks that share a GPU, which
// NCCL does not let them, and for tests. The bits are the host communicator's.
#pragma once
#include <functional>
#include <memory>

#include "comm/communicator.h"

namespace zerorun {

// How bytes come from a device and go to it. Memory is given as the collectives get it.
class DeviceCopy {
 public:
  virtual ~DeviceCopy() = default;
  // In order, after what the calling thread has launched; perhaps not done on return.
  virtual void copy(const void* from, void* to, int64_t bytes) = 0;
  // Blocks until all copies are done.
  virtual void finish() = 0;
};

// Of this process's GPU. Throws Error(configuration) where zerorun was built without CUDA.
std::unique_ptr<DeviceCopy> gpu_copies();

// A collective blocks the calling thread, and its Work is done. Costs 6 MiB of host memory, whatever the spans: pieces of all slices, and the scratch of a reduction.
// Errors are those of the host communicator.
class StagedCommunicator : public Communicator {
 public:
  // Collective over `host`, whose buffers it stages in, charged to `host` in the ledger of the caller's scope. allocate() gives what `buffer_of` gives, memory of
  // the device. REQUIRES: `host` outlives it, and has no other use meanwhile than in the same order on all ranks.
  StagedCommunicator(Communicator& host, std::unique_ptr<DeviceCopy> copies, std::function<at::Tensor(int64_t bytes)> buffer_of);
  ~StagedCommunicator() override;

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  Work all_gather(Span slice, Span full) override;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override;
  Work all_reduce(Span full, Span scratch) override;
  void exchange(const void* mine, void* all, int64_t bytes) override { host_.exchange(mine, all, bytes); }
  at::Tensor allocate(int64_t bytes) override;
  void tell(const Activity& activity) override { host_.tell(activity); }
  void abandon() noexcept override { host_.abandon(); }

 private:
  struct Staging;
  // Calls body(begin, staged) for the pieces of a slice of `slice`'s kind, with room for that piece of all slices.
  void for_each_piece(Span slice, const std::function<void(int64_t begin, Span staged)>& body);
  void copy(Span from, Span to) { copies_->copy(from.data, to.data, from.bytes()); }

  Communicator& host_;
  const std::unique_ptr<DeviceCopy> copies_;
  const std::function<at::Tensor(int64_t)> buffer_of_;
  const std::unique_ptr<Staging> staging_;
};

}  // namespace zerorun
