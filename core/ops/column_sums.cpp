#include "core/ops/column_sums.h"

#include <ATen/Parallel.h>

#include "core/ops/row_kernels.h"

namespace zerorun::ops {
namespace {

constexpr int64_t kColumnsPerTask = 64;

void add_in_parallel(const ColumnSums& sums) {
  at::parallel_for(0, sums.columns, kColumnsPerTask, [&](int64_t begin, int64_t end) { sum_columns(sums, begin, end); });
}

}  // namespace

void add_column_sums(const at::Tensor& gradient, at::Tensor& sum) {
  if (sum.is_meta()) return;
  add_in_parallel({sum.scalar_type(), gradient.numel() / sum.numel(), sum.numel(), gradient.const_data_ptr(), nullptr, nullptr, nullptr,
                   sum.data_ptr()});
}

void add_normalised_column_sums(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& mean, const at::Tensor& scale,
                                at::Tensor& sum) {
  if (sum.is_meta()) return;
  add_in_parallel({sum.scalar_type(), gradient.numel() / sum.numel(), sum.numel(), gradient.const_data_ptr(), x.const_data_ptr(),
                   mean.defined() ? mean.const_data_ptr<float>() : nullptr, scale.const_data_ptr<float>(), sum.data_ptr()});
}

}  // namespace zerorun::ops
