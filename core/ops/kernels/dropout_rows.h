// The mask of dropout, drawn and applied.
#pragma once
#include <array>
#include <cstdint>

#include "core/gpu/handle.h"

namespace zerorun::ops {

struct DropoutMask {
  std::array<uint32_t, 2> key;  // of Philox 4x32-10
  uint32_t dropped;             // of 65536 draws
  float scale;                  // of what is kept
};

// to[i] = from[i] scale, or 0 where draw first + i of the sample drops it, for i < count. The draws 8 k to 8 k + 7 are the halves, low
// before high, of the four words of counter {k, 0, sample}. REQUIRES that first is a multiple of 8.
void drop_elements(const DropoutMask& mask, c10::ScalarType dtype, int64_t sample, int64_t first, int64_t count, const void* from, void* to);
// On a GPU: all of `samples` samples of `size` elements each.
void drop_elements(const DropoutMask& mask, c10::ScalarType dtype, int64_t first_sample, int64_t samples, int64_t size, const void* from, void* to, GpuStream stream);

}  // namespace zerorun::ops
