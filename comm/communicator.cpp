#include "comm/communicator.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "core/error.h"

namespace zerorun {
namespace {

// Of a round of a reduction: of all pieces, and of each.
constexpr int64_t kRoundBytes = 1 << 20, kLeastBytes = 4096;

}  // namespace

at::Tensor Communicator::allocate_slice(int64_t slice_bytes, void*& whole) {
  whole = nullptr;
  return allocate(slice_bytes);
}

int64_t Communicator::reduce_scratch_bytes(int64_t slice_count, at::ScalarType dtype) const {
  return 2 * std::min(size() * Span{nullptr, slice_count, dtype}.bytes(), std::max(kRoundBytes, size() * kLeastBytes));
}

int64_t Communicator::reduce_piece_bytes(int64_t slice_count, at::ScalarType dtype) const {
  ZR_CHECK(slice_count >= 0, "a slice of {} elements", slice_count);
  constexpr int64_t kWholeElements = 64;
  const int64_t limit = std::max(kLeastBytes, kRoundBytes / size() / kWholeElements * kWholeElements);
  return std::min(Span{nullptr, slice_count, dtype}.bytes(), limit);
}

}  // namespace zerorun
