#include "core/ops/kernels/add_up.h"

#include <algorithm>

namespace zerorun::ops {

double add_up(const double* values, int64_t count) {
  double lanes[kAddingLanes] = {};
  for (int64_t begin = 0; begin < count; begin += kAddingLanes) {
    const int64_t length = std::min<int64_t>(kAddingLanes, count - begin);
    for (int64_t lane = 0; lane < length; ++lane) lanes[lane] += values[begin + lane];
  }
  double sum = 0;
  for (double* warp = lanes; warp != lanes + kAddingLanes; warp += kLanesOfWarp) {
    for (int apart = kLanesOfWarp / 2; apart > 0; apart /= 2) {
      for (int lane = 0; lane < apart; ++lane) warp[lane] += warp[lane + apart];
    }
    sum += warp[0];
  }
  return sum;
}

}  // namespace zerorun::ops
