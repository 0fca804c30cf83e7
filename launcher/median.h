// The middle of what was measured.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace zerorun {

// Of an even number of values the upper of the two in the middle; 0 of none.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace zerorun
