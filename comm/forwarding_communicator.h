// Passes every call on to another communicator: the base of what stands between a caller and its peers.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

#include "comm/communicator.h"

namespace zerorun {

class ForwardingCommunicator : public Communicator {
 public:
  // REQUIRES: `inner` outlives it.
  explicit ForwardingCommunicator(Communicator& inner) : inner_(inner) {}
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  Work all_gather(Span slice, Span full) override { return inner_.all_gather(slice, full); }
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    return inner_.reduce_scatter(full, slice, scratch, std::move(on_block));
  }
  Work all_reduce(Span full, Span scratch) override { return inner_.all_reduce(full, scratch); }
  void exchange(const void* mine, void* all, int64_t bytes) override { inner_.exchange(mine, all, bytes); }
  at::Tensor allocate(int64_t bytes) override { return inner_.allocate(bytes); }
  at::Tensor allocate_slice(int64_t slice_bytes, void*& whole) override { return inner_.allocate_slice(slice_bytes, whole); }
  Readers readers() const override { return inner_.readers(); }
  void tell(const Activity& activity) override { inner_.tell(activity); }
  void abandon() noexcept override { inner_.abandon(); }

 protected:
  Communicator& inner_;
};

}  // namespace zerorun
