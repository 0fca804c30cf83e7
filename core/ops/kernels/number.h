// Numbers of a tensor as the kernels here see them: widened to fp32 when loaded, rounded once (to nearest, ties to even) when
// stored. Without branches, so that loops over them vectorise. For the sources of kernels.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <utility>

#include "core/error.h"
#include "core/ops/kernels/number_bits.h"

// A kernel compiled for several instruction sets; the machine's is chosen at the start. What it
// calls must be ZR_INLINE, and its lambdas ZR_ALWAYS, to be compiled for them too.
#ifdef __SANITIZE_THREAD__  // g++ 12 instruments the choice, which is made before the sanitizer has started
#define ZR_FOR_EACH_CPU
#else
#define ZR_FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#endif
namespace zerorun::ops {

ZR_INLINE float widen(float x) { return x; }

ZR_INLINE float widen(c10::BFloat16 x) { return widen_bf16(x.x); }
ZR_INLINE float widen(c10::Half x) { return widen_fp16(x.x); }

ZR_INLINE void narrow(float x, float& to) { to = x; }
ZR_INLINE void narrow(float x, c10::BFloat16& to) { to.x = narrow_to_bf16(x); }
ZR_INLINE void narrow(float x, c10::Half& to) { to.x = narrow_to_fp16(x); }

// Runs body(T{}) for the type of `dtype`: fp32, bf16 or fp16.
template <typename Body>
ZR_INLINE void with_number(c10::ScalarType dtype, Body&& body) {
  switch (dtype) {
    case c10::ScalarType::Float: return body(float{});
    case c10::ScalarType::BFloat16: return body(c10::BFloat16{});
    case c10::ScalarType::Half: return body(c10::Half{});
    default: fail(ErrorKind::configuration, "an op got numbers of {}, expected fp32, bf16 or fp16", c10::toString(dtype));
  }
}

// Rows of `count` numbers of a dtype, to fp32 and back.
void widen_row(c10::ScalarType dtype, const void* from, float* to, int64_t count);
void narrow_row(c10::ScalarType dtype, const float* from, void* to, int64_t count);

inline bool is_reduced(c10::ScalarType dtype) { return dtype == c10::ScalarType::BFloat16 || dtype == c10::ScalarType::Half; }

}  // namespace zerorun::ops
