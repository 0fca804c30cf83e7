#include "core/ops/kernels/number.h"

namespace zerorun::ops {

ZR_FOR_EACH_CPU
void widen_row(c10::ScalarType dtype, const void* from, float* to, int64_t count) {
  with_number(dtype, [&](auto zero) ZR_ALWAYS {
    const auto* numbers = static_cast<const decltype(zero)*>(from);
    for (int64_t i = 0; i < count; ++i) to[i] = widen(numbers[i]);
  });
}

ZR_FOR_EACH_CPU
void narrow_row(c10::ScalarType dtype, const float* from, void* to, int64_t count) {
  with_number(dtype, [&](auto zero) ZR_ALWAYS {
    auto* numbers = static_cast<decltype(zero)*>(to);
    for (int64_t i = 0; i < count; ++i) narrow(from[i], numbers[i]);
  });
}

}  // namespace zerorun::ops
