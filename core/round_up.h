// The next multiple.
#pragma once
#include <cstdint>

namespace zerorun {

// The least multiple that is not below `count`. REQUIRES count >= 0 and multiple > 0.
constexpr int64_t round_up(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

}  // namespace zerorun
