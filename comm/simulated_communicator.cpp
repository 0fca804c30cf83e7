#include "comm/simulated_communicator.h"

#include <ATen/core/Tensor.h>

#include <cstring>

#include "comm/buffers.h"
#include "comm/collective.h"
#include "comm/slab_memory.h"
#include "core/error.h"
#include "core/memory.h"

namespace zerorun {
namespace {

SlabMemory::Source foretold_slabs(int64_t slab_bytes) {
  return {.make = [slab_bytes](int64_t least) { return SlabMemory::Slab{nullptr, (least + slab_bytes - 1) / slab_bytes * slab_bytes}; },
          .release = [](char*) {},
          .settle = [] {}};
}

}  // namespace

SimulatedCommunicator::SimulatedCommunicator(int rank, int size, Readers readers, int64_t slab_bytes)
    : rank_(rank), size_(size), readers_(readers), slabs_(SlabMemory::of(foretold_slabs(slab_bytes))) {
  ZR_CHECK(rank >= 0 && rank < size, "rank {} of {} cannot be simulated; expected 0 <= rank < size", rank, size);
}

Work SimulatedCommunicator::all_gather(Span slice, Span full) {
  check_all_gather(*this, slice, full);
  return {};
}

Work SimulatedCommunicator::reduce_scatter(Span full, Span slice, Span scratch, OnBlock) {
  check_reduce_scatter(*this, full, slice, scratch);
  return {};
}

Work SimulatedCommunicator::all_reduce(Span full, Span scratch) {
  check_all_reduce(*this, full, scratch);
  return {};
}

void SimulatedCommunicator::exchange(const void* mine, void* all, int64_t bytes) {
  check_exchange(mine, all, bytes);
  for (int r = 0; r < size_ && bytes > 0; ++r) std::memcpy(static_cast<char*>(all) + r * bytes, mine, bytes);
}

at::Tensor SimulatedCommunicator::allocate(int64_t bytes) {
  switch (readers_) {
    case Readers::owner: return meta_buffer(bytes);
    case Readers::gpus: return charged_meta_buffer(bytes, bytes > 0 ? slabs_->take(bytes).memory : nullptr);
    default: return charged_meta_buffer(bytes);
  }
}

}  // namespace zerorun
