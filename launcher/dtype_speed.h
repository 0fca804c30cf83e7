// How this machine computes in a dtype, against fp32: few processors have instructions for bf16, fewer for fp16.
#pragma once
#include <c10/core/ScalarType.h>

namespace zerorun {

// Seconds of a matrix product in `dtype` over seconds in fp32, best of a few interleaved runs with this process's threads.
// Takes some tens of milliseconds at most where the dtype is slow, and 1 MiB for the time of the call.
double slowdown_of(at::ScalarType dtype);

}  // namespace zerorun
