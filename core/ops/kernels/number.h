// Numbers of a tensor as the kernels here see them: widened to fp32 when loaded, rounded once (to nearest, ties to even) when
// stored. Without branches, so that loops over them vectorise. For the sources of kernels.
#pragma once
#include <c10/core/ScalarType.h>

#include <bit>
#include <cstdint>
#include <utility>

#include "core/error.h"

// A kernel compiled for several instruction sets; the machine's is chosen at the start. What it
// calls must be ZR_INLINE, and its lambdas ZR_ALWAYS, to be compiled for them too.
#ifdef __SANITIZE_THREAD__  // g++ 12 instruments the choice, which is made before the sanitizer has started
#define ZR_FOR_EACH_CPU
#else
#define ZR_FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#endif
#define ZR_ALWAYS __attribute__((always_inline))
#define ZR_INLINE inline ZR_ALWAYS

namespace zerorun::ops {

ZR_INLINE float widen(float x) { return x; }

ZR_INLINE float widen(c10::BFloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.x) << 16); }

ZR_INLINE float widen(c10::Half x) {
  constexpr uint32_t kInfinity = 0x7c00u << 13;
  const uint32_t magnitude = (x.x & 0x7fffu) << 13, sign = (x.x & 0x8000u) << 16;
  const auto finite = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);  // the exponent's bias: 127 - 15
  return std::bit_cast<float>((magnitude >= kInfinity ? magnitude | 0x7f800000u : finite) | sign);
}

ZR_INLINE void narrow(float x, float& to) { to = x; }

ZR_INLINE void narrow(float x, c10::BFloat16& to) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to.x = static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

ZR_INLINE void narrow(float x, c10::Half& to) {
  constexpr uint32_t kOverflow = 0x477ff000, kSmallestNormal = 0x38800000, kInfinity = 0x7f800000;  // 65520, 2^-14
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // The last place of 0.5 is the smallest half: the addition rounds.
  const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  uint32_t half = magnitude < kSmallestNormal ? subnormal : normal;
  half = magnitude >= kOverflow ? 0x7c00u : half;
  half = magnitude > kInfinity ? 0x7e00u : half;
  to.x = static_cast<uint16_t>(half | ((bits >> 16) & 0x8000u));
}

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
