#include "comm/communicator.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "core/error.h"

namespace zerorun {
namespace {

// Of a round of a reduction: of all pieces, and of each.
constexpr int64_t kRoundBytes = 1 << 20, kLeastBytes = 4096;

}  // namespace

Span Span::slice(int64_t index, int64_t slices) const {
  ZR_CHECK(slices > 0 && count % slices == 0, "{} elements do not divide into {} equal slices", count, slices);
  ZR_CHECK(index >= 0 && index < slices, "slice {} of {} was asked for", index, slices);
  const Span first{data, count / slices, dtype};
  return {data ? static_cast<char*>(data) + index * first.bytes() : nullptr, first.count, dtype};
}

Span Span::part(int64_t begin, int64_t length) const {
  const Span before{nullptr, begin, dtype};
  return {data ? static_cast<char*>(data) + before.bytes() : nullptr, std::min(length, count - begin), dtype};
}

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
