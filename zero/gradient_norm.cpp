#include "zero/gradient_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "core/ops/kernels/add_up.h"
#include "zero/flat_kernels.h"
#include "zero/flat_span.h"
#include "zero/gpu_flat_kernels.h"

namespace zerorun {

void SumOfSquares::add(int64_t begin, Span block) {
  float values[kSumBlock];
  blocks_[static_cast<size_t>(begin / kSumBlock)] = kernels::flat_kernels().sum_of_squares(read_block(block, 0, block.count, values), block.count);
}

// Whole blocks go by themselves; of others the parts are carried together. The last block may be short, which the number of blocks does not tell: its sum is written anew whenever
// something is carried into it.
void SumOfSquares::append(Span values) {
  while (values.count > 0) {
    if (carried_ == 0 && values.count >= kSumBlock) {
      constexpr int64_t kBlocksPerTask = 64;
      const int64_t blocks = values.count / kSumBlock;
      at::parallel_for(0, blocks, kBlocksPerTask, [&](int64_t first, int64_t last) {
        for (int64_t b = first; b < last; ++b) add((next_block_ + b) * kSumBlock, values.part(b * kSumBlock, kSumBlock));
      });
      next_block_ += blocks;
      values = values.part(blocks * kSumBlock, values.count - blocks * kSumBlock);
      continue;
    }
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
  total_ = ops::add_up(blocks_.data(), std::ssize(blocks_));
  std::vector<double>().swap(blocks_);
}

double sum_of_squares(Span values) {
  if (!values.data) return 0;
  SumOfSquares squares;
  squares.expect(values.count);
  squares.append(values);
  squares.close();
  return squares.total();
}

NormsOfGroups::NormsOfGroups(size_t groups, at::Device device) : values_(groups), on_gpu_(groups) {
  if (device.is_cuda() || (device.is_meta() && device_of_scope() == Side::gpu)) of_gpu_ = at::empty({static_cast<int64_t>(groups)}, at::TensorOptions().dtype(at::kDouble).device(device));
}

void NormsOfGroups::restart() {
  std::ranges::fill(values_, 0.0);
  on_gpu_.assign(values_.size(), false);
  fill_zero(span_of(of_gpu_));
}

void NormsOfGroups::take(size_t group, Span values) {
  if (!of_gpu_.defined()) {
    values_[group] = sum_of_squares(values);
    return;
  }
  const MemoryScope workspace(Category::workspace);
  const auto blocks = at::empty({(values.count + kSumBlock - 1) / kSumBlock}, of_gpu_.options());
  if (!values.data) return;
  kernels::sum_of_squares(values, blocks.data_ptr<double>(), of_gpu_.data_ptr<double>() + group, gpu::current_stream());
  on_gpu_[group] = true;
}

void NormsOfGroups::add_up_on_gpu(double* sum) const {
  ops::add_up(of_gpu_.const_data_ptr<double>(), of_gpu_.numel(), sum, gpu::current_stream());
}

double NormsOfGroups::total() {
  if (std::ranges::find(on_gpu_, true) != on_gpu_.end()) {
    std::vector<double> taken(values_.size());
    copy(span_of(of_gpu_), {taken.data(), std::ssize(taken), at::kDouble});
    gpu::synchronize();
    for (size_t g = 0; g < taken.size(); ++g) {
      if (on_gpu_[g]) values_[g] = taken[g];
    }
  }
  return ops::add_up(values_.data(), std::ssize(values_));
}

}  // namespace zerorun
