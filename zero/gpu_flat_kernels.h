// The element-wise loops behind updates and norms on a GPU: the bits of flat_kernels.h and flat_span.h. They are launched on a stream; everything that
// a pointer names is memory of the GPU, and nothing is allocated. Slices and spans may begin anywhere; aligned to 16 bytes they are read and written so many at a time.
#pragma once
#include <cstdint>

#include "core/gpu/handle.h"
#include "core/span.h"
#include "zero/flat_kernels.h"
#include "zero/flat_slice.h"
#include "zero/update_control.h"

namespace zerorun::kernels {

// All of the slice in one pass, of which the first decay_count elements decay by factors.decay; `control` may be null. 28 bytes of traffic per
// parameter in fp32, and as many with gradients and parameters in bf16.
void adamw(const FlatSlice& slice, const AdamWFactors& factors, const UpdateControl* control, GpuStream stream);

// With a momentum of 0 there is no state: p -= lr g; else state[0] is the buffer. The first decay_count elements decay by factors.weight_decay.
void sgd(const FlatSlice& slice, const SgdFactors& factors, const UpdateControl* control, GpuStream stream);

// to = from, sum += part: element by element, in fp32, rounded once. The spans have as many elements, and are apart.
void convert(Span from, Span to, GpuStream stream);
void add(Span part, Span sum, GpuStream stream);

// to = from where both lie in the same memory: `to` at its start; `from` at its end where it is narrower, else at its start too.
// Between widths it takes a launch for every halving of what is left.
void convert_in_place(Span from, Span to, GpuStream stream);

// *total += the sum of squares in fp64, to the bit that of SumOfSquares (gradient_norm.h). `blocks`: a double for each kSumBlock elements, which is overwritten.
void sum_of_squares(Span values, double* blocks, double* total, GpuStream stream);

}  // namespace zerorun::kernels
