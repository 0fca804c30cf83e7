// What is computed and sent in which dtype. Masters and optimizer states are fp32 whatever it says.
#pragma once
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstdint>

namespace zerorun {

// parameters: of gathered weights, activations and the gradients of a unit, before they are summed: fp32, bf16 or fp16.
// gradients: of what ranks send each other and of the accumulator: fp32 or bf16 (the reduce dtype).
struct Precision {
  at::ScalarType parameters = at::kFloat;
  at::ScalarType gradients = at::kFloat;
  bool stochastic_rounding = false;  // of bf16 parameters, when they are updated (rounding.h)

  // Parameters that are not fp32 are rounded copies of an fp32 master, which is counted with the optimizer's states.
  bool has_master() const { return parameters != at::kFloat; }
  bool converts_gradients() const { return parameters != gradients; }
  int64_t parameter_bytes() const { return static_cast<int64_t>(c10::elementSize(parameters)); }
  int64_t gradient_bytes() const { return static_cast<int64_t>(c10::elementSize(gradients)); }
  // A gradient is converted where it lies.
  int64_t gradient_slot_bytes() const { return std::max(parameter_bytes(), gradient_bytes()); }
};

}  // namespace zerorun
