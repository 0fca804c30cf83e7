// The bits that rounding at random takes: the same on a processor and on a GPU.
#pragma once
#include "core/philox.h"
#include "zero/rounding.h"

namespace zerorun::kernels {

// Of elements 4 block to 4 block + 3.
ZR_INLINE constexpr std::array<uint32_t, 4> words_of(const Rounding& rounding, uint64_t block) {
  return philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), rounding.step, rounding.stream}, rounding.key);
}

}  // namespace zerorun::kernels
