#include "zero/gradient_norm.h"

#include <ATen/Parallel.h>

#include "zero/flat_kernels.h"
#include "zero/flat_span.h"

namespace zerorun {

void SumOfSquares::add(int64_t begin, Span block) {
  float values[kSumBlock];
  blocks_[static_cast<size_t>(begin / kSumBlock)] = kernels::flat_kernels().sum_of_squares(read_block(block, 0, block.count, values), block.count);
}

double SumOfSquares::total() const {
  double sum = 0;
  for (const double block : blocks_) sum += block;
  return sum;
}

double sum_of_squares(Span values) {
  if (!values.data) return 0;
  constexpr int64_t kBlocksPerTask = 64;
  SumOfSquares squares;
  squares.expect(values.count);
  at::parallel_for(0, (values.count + kSumBlock - 1) / kSumBlock, kBlocksPerTask, [&](int64_t first, int64_t last) {
    for (int64_t begin = first * kSumBlock; begin < std::min(values.count, last * kSumBlock); begin += kSumBlock) {
      squares.add(begin, values.part(begin, kSumBlock));
    }
  });
  return squares.total();
}

}  // namespace zerorun
