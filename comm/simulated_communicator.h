// Pretends to be rank r of N without peers, for the dry run on the meta device. Checks its arguments like the others,
// moves nothing, is done at once; allocate() gives a meta tensor; exchange() answers that every rank has what I have.
#pragma once
#include "comm/communicator.h"

namespace zerorun {

class SimulatedCommunicator : public Communicator {
 public:
  // REQUIRES 0 <= rank < size.
  SimulatedCommunicator(int rank, int size, Readers readers = Readers::owner);

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
};

}  // namespace zerorun
