#include "core/ops/kernels/column_sums.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "core/ops/kernels/row_kernels.h"
#include "core/ops/moved.h"
#include "core/ops/side.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kColumnsPerTask = 64;
constexpr int64_t kLeastRows = 64, kMaxBlocks = 256;  // on a GPU

}  // namespace

void add_column_sums(const at::Tensor& gradient, at::Tensor& sum) {
  const int64_t rows = gradient.numel() / sum.numel(), blocks = std::min(kMaxBlocks, (rows + kLeastRows - 1) / kLeastRows);
  at::Tensor partial;
  if (side_of(sum) == Side::gpu) {
    const MemoryScope workspace(Category::workspace);
    partial = at::empty({blocks, sum.numel()}, sum.options().dtype(at::kFloat));
  }
  count_moved(gradient);
  if (sum.is_meta()) return;
  const ColumnSums sums{gradient.scalar_type(), sum.scalar_type(), rows, sum.numel(), gradient.const_data_ptr(), sum.data_ptr()};
  if (sum.is_cuda()) return sum_columns(sums, partial.data_ptr<float>(), blocks, gpu::current_stream());
  at::parallel_for(0, sums.columns, kColumnsPerTask, [&](int64_t begin, int64_t end) { sum_columns(sums, begin, end); });
}

}  // namespace zerorun::ops
