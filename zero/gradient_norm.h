// The factor that clips a gradient of a norm.
#pragma once
#include <algorithm>

namespace zerorun {

// min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ does; 1 where max_norm is 0 (off).
inline double clip_factor(double norm, double max_norm) { return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0; }

}  // namespace zerorun
