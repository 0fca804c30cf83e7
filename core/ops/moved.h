// What an op moves in memory.
#pragma once
#include <ATen/core/Tensor.h>

#include "core/operation_count.h"

namespace zerorun::ops {

// Counts tensors that an op reads or writes as a whole, those that are defined.
template <typename... Tensors>
void count_moved(const Tensors&... tensors) {
  const auto bytes = [](const at::Tensor& tensor) { return tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : 0; };
  CountScope::moved((bytes(tensors) + ...));
}

}  // namespace zerorun::ops
