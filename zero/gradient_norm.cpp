#include "zero/gradient_norm.h"

#include <ATen/Parallel.h>

#include "zero/flat_kernels.h"
#include "zero/flat_span.h"

namespace zerorun {

void SumOfSquares::add(int64_t begin, Span block) {
  float values[kSumBlock];
  blocks_[static_cast<size_t>(begin / kSumBlock)] = kernels::flat_kernels().sum_of_squares(read_block(block, 0, block.count, values), block.count);
}

// The last block may be short, which the number of blocks does not tell: its sum is written anew whenever something is carried into it.
void SumOfSquares::append(Span values) {
  while (values.count > 0) {
    const Span part = values.part(0, kSumBlock - carried_);
    float block[kSumBlock];
    std::copy_n(read_block(part, 0, part.count, block), part.count, carry_.begin() + carried_);
    carried_ += part.count;
    add(next_block_ * kSumBlock, {carry_.data(), carried_, at::kFloat});
    if (carried_ == kSumBlock) {
      ++next_block_;
      carried_ = 0;
    }
    values = values.part(part.count, values.count - part.count);
  }
}

void SumOfSquares::close() {
  total_ = 0;
  for (const double block : blocks_) total_ += block;
  std::vector<double>().swap(blocks_);
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
  squares.close();
  return squares.total();
}

}  // namespace zerorun
