// What an optimizer updates: a stretch of a group's flat buffer, with everything that belongs to its elements.
#pragma once
#include <array>
#include <cstdint>

#include "core/span.h"
#include "zero/rounding.h"

namespace zerorun {

inline constexpr int kMaxOptimizerStates = 2;

// Pointers are null on the meta device; then nothing happens.
struct FlatSlice {
  float* parameter = nullptr;  // the master, where parameters are not fp32
  Span gradient = {};             // in any dtype
  Span rounded = {};              // of the parameters, in the dtype that is computed with; no data where that is fp32
  std::array<float*, kMaxOptimizerStates> state{};
  int64_t count = 0;
  int64_t decay_count = 0;  // the first decay_count elements decay
  Rounding rounding = {};   // REQUIRES rounded in bf16 where it is at random
};

}  // namespace zerorun
