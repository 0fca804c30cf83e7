// What headers of kernels say of a GPU.
#pragma once
#include "core/scalar_type.h"

struct CUstream_st;

namespace zerorun {

// CUDA's own handle (cudaStream_t): kernels are launched on it.
using GpuStream = CUstream_st*;

namespace gpu {
// Throws Error(configuration): a kernel got numbers that are neither fp32, bf16 nor fp16.
[[noreturn]] void fail_dtype(c10::ScalarType dtype);
}  // namespace gpu

}  // namespace zerorun
