#include "zero/gradient_norm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "zero/flat_kernels.h"

namespace zerorun {

double sum_of_squares(const float* values, int64_t count) {
  constexpr int64_t kBlock = 4096;
  std::vector<double> blocks((count + kBlock - 1) / kBlock);
  at::parallel_for(0, static_cast<int64_t>(blocks.size()), 8, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) blocks[b] = kernels::sum_of_squares(values, b * kBlock, std::min(count, (b + 1) * kBlock));
  });
  double sum = 0;
  for (const double block : blocks) sum += block;
  return sum;
}

double clip_factor(double norm, double max_norm) { return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0; }

}  // namespace zerorun
