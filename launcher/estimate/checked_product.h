// Bytes by a formula, whatever sizes are put into it.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "core/error.h"

namespace zerorun {

// Throws Error(configuration) where the product exceeds 2^58: sums of a few products fit then.
inline int64_t checked_product(std::initializer_list<int64_t> factors) {
  constexpr int64_t kMost = int64_t{1} << 58;
  int64_t product = 1;
  for (const int64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product) || product > kMost) {
      fail(ErrorKind::configuration, "these sizes make more than 2^58 bytes of activations, which no machine has: take a smaller --seq-len or --micro-batch");
    }
  }
  return product;
}

}  // namespace zerorun
