// Blocks of a sum over ranks.
#pragma once
#include <cstdint>
#include <functional>

#include "core/span.h"

namespace zerorun {

// What is done with each block of a sum while it is at hand: `values` are its elements from `begin` on. On any thread, blocks in any order.
using OnBlock = std::function<void(int64_t begin, Span values)>;
inline constexpr int64_t kSumBlock = 256;  // elements; blocks begin at multiples, the last may be shorter

}  // namespace zerorun
