// The norm of all gradients, and the factor that clips it.
#pragma once
#include <cstdint>

namespace zerorun {

// Sum of squares in fp64, in blocks of a fixed size added in order: the same bits for any number of threads.
double sum_of_squares(const float* values, int64_t count);

// min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ does; 1 where max_norm is 0 (off).
double clip_factor(double norm, double max_norm);

}  // namespace zerorun
