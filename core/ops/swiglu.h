// The gate of LLaMA's feed-forward (Shazeer 2020).
#pragma once
#include <ATen/core/Tensor.h>

namespace zerorun::ops {

// gate, up [...], contiguous -> silu(gate) * up. Saves both.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace zerorun::ops
