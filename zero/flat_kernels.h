// The element-wise loops behind updates and norms, compiled for several instruction sets and chosen at run time. Every form gives
// the same bits: correctly rounded operations in one order, no contraction. (Where two NaNs meet, either's payload may survive.)
// Most work on the first `count` elements of their arrays. fp32, except where said.
#pragma once
#include <cstdint>

#include "zero/flat_slice.h"

namespace zerorun::kernels {

struct AdamWFactors {
  float gradient_scale, decay, beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, inverse_correction2, eps;
};

struct SgdFactors {
  float gradient_scale, weight_decay, lr, momentum;
};

struct FlatKernels {
  // Elements [begin, end) of the slice, in one pass: the gradient widened, the parameter rounded where it has to be.
  void (*adamw)(const FlatSlice& slice, int64_t begin, int64_t end, const AdamWFactors& factors);

  void (*sgd)(float* parameter, const float* gradient, int64_t count, const SgdFactors& factors);
  void (*sgd_momentum)(float* parameter, const float* gradient, float* buffer, int64_t count, const SgdFactors& factors);

  // rounded[i], the bits of a bf16, becomes parameter[i], rounded at random.
  void (*round_at_random)(const float* parameter, int64_t count, const Rounding& rounding, uint16_t* rounded);

  // sum += part
  void (*add)(float* sum, const float* part, int64_t count);

  // Sum of squares in fp64, in eight interleaved lanes added in a fixed order.
  double (*sum_of_squares)(const float* values, int64_t count);
};

enum class InstructionSet { baseline, avx2, avx512 };

bool machine_has(InstructionSet set);

// REQUIRES machine_has(set).
const FlatKernels& flat_kernels(InstructionSet set);

// Of the widest set that the machine has.
const FlatKernels& flat_kernels();

}  // namespace zerorun::kernels
