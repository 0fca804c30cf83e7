// y = x W + b, with the weight stored [in, out] as GPT-2 keeps it.
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// x [..., in], weight [in, out], bias [out] -> [..., out]. Saves x. Backward adds to the weights' gradients in place.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace zerorun::ops
