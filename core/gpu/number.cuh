// Numbers of a tensor as kernels on a GPU see them: widened to fp32 when loaded, rounded once when stored (core/ops/kernels/number.h is the
// processor's). Doubles stay what they are.
#pragma once
#include "core/gpu/handle.h"
#include "core/ops/kernels/number_bits.h"

namespace zerorun::gpu {

struct BFloat16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};

__device__ inline float widen(float x) { return x; }
__device__ inline double widen(double x) { return x; }
__device__ inline float widen(BFloat16 x) { return ops::widen_bf16(x.bits); }
__device__ inline float widen(Half x) { return ops::widen_fp16(x.bits); }

__device__ inline void narrow(float x, float& to) { to = x; }
__device__ inline void narrow(double x, double& to) { to = x; }
__device__ inline void narrow(float x, BFloat16& to) { to.bits = ops::narrow_to_bf16(x); }
__device__ inline void narrow(float x, Half& to) { to.bits = ops::narrow_to_fp16(x); }

// Runs body(T{}) for the type of `dtype`: fp32, bf16 or fp16.
template <typename Body>
void with_number(c10::ScalarType dtype, Body&& body) {
  switch (dtype) {
    case kFp32: return body(float{});
    case kBf16: return body(BFloat16{});
    case kFp16: return body(Half{});
    default: fail_dtype(dtype);
  }
}

}  // namespace zerorun::gpu
