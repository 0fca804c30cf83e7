#include "comm/simulated_communicator.h"

#include <ATen/core/Tensor.h>

#include <cstring>

#include "comm/buffers.h"
#include "comm/collective.h"
#include "core/error.h"
#include "core/memory.h"

namespace zerorun {

SimulatedCommunicator::SimulatedCommunicator(int rank, int size, Readers readers) : rank_(rank), size_(size), readers_(readers) {
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
    case Readers::gpus: return charged_meta_buffer(bytes, ScopeCharge::Memory::own_pages);
    default: return charged_meta_buffer(bytes, ScopeCharge::Memory::none);
  }
}

}  // namespace zerorun
