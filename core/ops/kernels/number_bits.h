// bf16 and fp16 as bits, to fp32 and back, rounded to nearest, ties to even: the same arithmetic on a processor and on a GPU. Without branches.
#pragma once
#include <bit>
#include <cstdint>

#define ZR_ALWAYS __attribute__((always_inline))
#define ZR_INLINE inline ZR_ALWAYS

namespace zerorun::ops {

ZR_INLINE constexpr float widen_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

ZR_INLINE constexpr uint16_t narrow_to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

// To one of the two neighbours: up with the probability of what lies above the lower, where the low 16 bits of `random` are drawn evenly. So
// the rounded number is right in the mean; what is a bf16 already stays.
ZR_INLINE constexpr uint16_t narrow_to_bf16_at_random(float x, uint32_t random) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : (bits + (random & 0xffffu)) >> 16);
}

ZR_INLINE constexpr float widen_fp16(uint16_t bits) {
  constexpr uint32_t kInfinity = 0x7c00u << 13;
  const uint32_t magnitude = (bits & 0x7fffu) << 13, sign = (bits & 0x8000u) << 16;
  const auto finite = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);  // the exponent's bias: 127 - 15
  return std::bit_cast<float>((magnitude >= kInfinity ? magnitude | 0x7f800000u : finite) | sign);
}

ZR_INLINE constexpr uint16_t narrow_to_fp16(float x) {
  constexpr uint32_t kOverflow = 0x477ff000, kSmallestNormal = 0x38800000, kInfinity = 0x7f800000;  // 65520, 2^-14
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // The last place of 0.5 is the smallest half: the addition rounds.
  const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  uint32_t half = magnitude < kSmallestNormal ? subnormal : normal;
  half = magnitude >= kOverflow ? 0x7c00u : half;
  half = magnitude > kInfinity ? 0x7e00u : half;
  return static_cast<uint16_t>(half | ((bits >> 16) & 0x8000u));
}

}  // namespace zerorun::ops
