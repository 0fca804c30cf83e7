#include "core/span.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/gpu/gpu.h"

namespace zerorun {

static_assert(kFp16 == c10::ScalarType::Half && kFp32 == c10::ScalarType::Float && kBf16 == c10::ScalarType::BFloat16 && kFp64 == c10::ScalarType::Double);

int64_t Span::bytes() const { return count * static_cast<int64_t>(c10::elementSize(dtype)); }

void* Span::at(int64_t index) const { return data ? static_cast<char*>(data) + index * static_cast<int64_t>(c10::elementSize(dtype)) : nullptr; }

Span Span::slice(int64_t index, int64_t slices) const {
  ZR_CHECK(slices > 0 && count % slices == 0, "{} elements do not divide into {} equal slices", count, slices);
  ZR_CHECK(index >= 0 && index < slices, "slice {} of {} was asked for", index, slices);
  return {at(index * (count / slices)), count / slices, dtype, side};
}

Span Span::part(int64_t begin, int64_t length) const { return {at(begin), std::min(length, count - begin), dtype, side}; }

void copy(Span from, Span to) {
  ZR_CHECK(from.bytes() == to.bytes(), "{} bytes are copied to {}", from.bytes(), to.bytes());
  if (!from.data || !to.data || from.data == to.data || from.count == 0) return;
  if (from.side == Side::gpu || to.side == Side::gpu) return gpu::copy(from.data, to.data, from.bytes());
  std::memcpy(to.data, from.data, static_cast<size_t>(from.bytes()));
}

void fill_zero(Span span) {
  if (!span.data || span.count == 0) return;
  if (span.side == Side::gpu) return gpu::fill_zero(span.data, span.bytes());
  std::memset(span.data, 0, static_cast<size_t>(span.bytes()));
}

}  // namespace zerorun
