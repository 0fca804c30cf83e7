// Sums over the rows of a matrix: the gradients of vectors that every row uses. Rows are added in order in fp32, blocks of
// them to each other, and the sum is added to the gradient once: the same bits for any number of threads.
// Workspace on a GPU: at most 256 rows of fp32.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// sum[c] += sum over rows r of gradient[r, c]. gradient [..., C] is contiguous, of the dtype of sum [C] or fp32.
void add_column_sums(const at::Tensor& gradient, at::Tensor& sum);

}  // namespace zerorun::ops
