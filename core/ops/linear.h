// Matrix products with weights. All save x where a weight is trained, and add to the weights' gradients in place. Their memory is
// that of matrix_product.h.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace zerorun::ops {

// x [..., in], weight [in, out], bias [out] -> x weight + bias [..., out]: GPT-2's layout, Hugging Face's Conv1D.
at::Tensor conv1d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// x [..., in], weight [out, in] -> x weight^T [..., out].
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight);

// The same x times several weights: one graph node, whose backward sums the gradients of x in the order of the weights,
// rounded to the dtype of x after each.
std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<at::Tensor>& weights);

}  // namespace zerorun::ops
