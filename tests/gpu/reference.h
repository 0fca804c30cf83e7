// What the tests of kernels share: values in any dtype, and how near two sides are.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "tests/gpu/device_buffer.h"

namespace zerorun::device {

using c10::BFloat16;
using c10::Half;

template <typename Number>
constexpr auto kType = c10::CppTypeToScalarType<Number>::value;

// Normal values; some of them zeros.
template <typename Number>
std::vector<Number> random_values(int64_t count, unsigned int seed, float scale = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<Number> values(static_cast<size_t>(count));
  for (auto& value : values) value = static_cast<Number>(generator() % 29 == 0 ? 0.0f : normal(generator) * scale);
  return values;
}

// The distance of 1 to the next number, halved: what one rounding may change.
template <typename Number>
constexpr double kRounding = std::is_same_v<Number, float> ? 0x1p-24 : std::is_same_v<Number, Half> ? 0x1p-11 : 0x1p-8;

template <typename Number>
void expect_same_bits(const std::vector<Number>& got, const std::vector<Number>& wanted, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::memcmp(&got[i], &wanted[i], sizeof(Number)) == 0) continue;
    FAIL() << what << ": element " << i << " of " << got.size() << " is " << static_cast<double>(got[i]) << ", expected " << static_cast<double>(wanted[i]);
  }
}

// Each element to `roundings` of its dtype, relative to itself or to `least`.
template <typename Number, typename Wanted>
void expect_near(const std::vector<Number>& got, const std::vector<Wanted>& wanted, const std::string& what, double roundings = 1.01, double least = 1e-6) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    const auto a = static_cast<double>(got[i]), b = static_cast<double>(wanted[i]);
    if (std::abs(a - b) <= roundings * kRounding<Number> * std::abs(b) + least || (std::isnan(a) && std::isnan(b)) || a == b) continue;
    FAIL() << what << ": element " << i << " of " << got.size() << " is " << a << ", expected " << b;
  }
}

// Runs body(Number{}, name) for the three dtypes.
template <typename Body>
void for_each_number(Body&& body) {
  body(float{}, "fp32");
  body(BFloat16{}, "bf16");
  body(Half{}, "fp16");
}

}  // namespace zerorun::device
