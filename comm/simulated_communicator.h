// Pretends to be rank r of N without peers, for the dry run on the meta device. Checks its arguments like the others,
// moves nothing, is done at once; allocate() gives a meta tensor; exchange() answers that every rank has what I have.
#pragma once
#include <memory>

#include "comm/communicator.h"
#include "core/gpu/shape.h"

namespace zerorun {

class SlabMemory;

class SimulatedCommunicator : public Communicator {
 public:
  // REQUIRES 0 <= rank < size. `slab_bytes`: of what is registered between GPUs, memory comes so many bytes at a time.
  SimulatedCommunicator(int rank, int size, Readers readers = Readers::owner, int64_t slab_bytes = gpu::Shape().slab_bytes);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Work all_gather(Span slice, Span full) override;
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override;
  Work all_reduce(Span full, Span scratch) override;
  void exchange(const void* mine, void* all, int64_t bytes) override;
  at::Tensor allocate(int64_t bytes) override;
  Readers readers() const override { return readers_; }

 private:
  int rank_;
  int size_;
  Readers readers_;
  std::shared_ptr<SlabMemory> slabs_;  // between GPUs
};

}  // namespace zerorun
