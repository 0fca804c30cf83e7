// Sums of fp64 in an order that depends on their number alone, and is the same on a CPU and on a GPU.
#pragma once
#include <cstdint>

#include "core/gpu/handle.h"

namespace zerorun::ops {

// Numbers i, i + kAddingLanes, ... are a lane's, which adds them in order. Of the lanes each kLanesOfWarp that lie side by side are added by halves, and those sums in order.
inline constexpr int kAddingLanes = 1024, kLanesOfWarp = 32;

double add_up(const double* values, int64_t count);

// On a GPU: *sum += add_up(values, count).
void add_up(const double* values, int64_t count, double* sum, GpuStream stream);

}  // namespace zerorun::ops
