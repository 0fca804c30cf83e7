// The learning rate of each step.
//
// With w = warmup_steps, n = training.steps, m = min_lr_factor, step s counted from 0:
//   s < w      lr (s + 1) / w
//   s >= w     lr (m + (1 - m) f(p)),  p = (s - w) / (n - 1 - w), or 0 when only one step is left after the warm-up
//     cosine   f = (1 + cos(pi p)) / 2
//     linear   f = 1 - p
//     constant f = 1
// So step w has lr itself and the last step lr m. Steps after the last keep its value.
#pragma once
#include <cstdint>

#include "launcher/settings.h"

namespace zerorun {

// REQUIRES step >= 0. Equal on every rank: it depends on nothing else.
double learning_rate(const Settings& settings, int64_t step);

}  // namespace zerorun
