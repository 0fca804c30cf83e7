// For which side an op computes.
#pragma once
#include <ATen/core/Tensor.h>

#include "core/memory.h"

namespace zerorun::ops {

// Of a tensor of the meta device: the one that is foretold, whose scratch the op takes.
inline Side side_of(const at::Tensor& x) { return x.is_cuda() || (x.is_meta() && device_of_scope() == Side::gpu) ? Side::gpu : Side::host; }

}  // namespace zerorun::ops
