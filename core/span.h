// A stretch of numbers in memory, wherever it lies: what collectives, optimizers and copies work on, instead of tensors.
#pragma once
#include <cstdint>

#include "core/scalar_type.h"

namespace zerorun {

// Where memory lies: of the host, or of this rank's GPU.
enum class Side : int8_t { host, gpu };

// A GPU gives out whole pages of 2 MiB: what so many bytes take of it.
constexpr int64_t gpu_pages(int64_t bytes) { return (bytes + (int64_t{2} << 20) - 1) >> 21 << 21; }

// `data` is null on the meta device; then nothing is moved.
struct Span {
  void* data = nullptr;
  int64_t count = 0;  // elements
  c10::ScalarType dtype = kFp32;
  Side side = Side::host;

  int64_t bytes() const;
  // Slice `index` of `slices` equal ones. REQUIRES count % slices == 0.
  Span slice(int64_t index, int64_t slices) const;
  // At most `length` elements from `begin` on. REQUIRES begin <= count.
  Span part(int64_t begin, int64_t length) const;
  // Where element `index` lies; null without data.
  void* at(int64_t index) const;
};

// to = from, of equal bytes and dtype, on either side. With a GPU in the order of the calling thread's stream: what lies in host memory may be read or written
// by the host again once an event of that stream has happened. Nothing without data, or where both are the same.
void copy(Span from, Span to);
void fill_zero(Span span);

}  // namespace zerorun
