#include "core/ops/kernels/column_sums.h"

#include <ATen/Parallel.h>

#include "core/ops/kernels/row_kernels.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kColumnsPerTask = 64;

}  // namespace

void add_column_sums(const at::Tensor& gradient, at::Tensor& sum) {
  if (sum.is_meta()) return;
  const ColumnSums sums{gradient.scalar_type(), sum.scalar_type(), gradient.numel() / sum.numel(), sum.numel(), gradient.const_data_ptr(),
                        sum.data_ptr()};
  at::parallel_for(0, sums.columns, kColumnsPerTask, [&](int64_t begin, int64_t end) { sum_columns(sums, begin, end); });
}

}  // namespace zerorun::ops
