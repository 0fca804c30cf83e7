// Element-wise work on flat spans of fp32, bf16 or fp16: values are computed in fp32 and rounded once, to nearest even.
#pragma once
#include <cstdint>

#include "comm/communicator.h"

namespace zerorun {

// Elements that are widened at a time, on the stack.
inline constexpr int64_t kFlatBlock = 2048;

// Elements [begin, begin + count) of `span` as fp32: a pointer into it where it is fp32, else into `block`, which is filled.
// REQUIRES count <= kFlatBlock.
const float* read_block(Span span, int64_t begin, int64_t count, float* block);
void write_block(const float* values, Span span, int64_t begin, int64_t count);

// to = from, sum += part: element by element, in parallel. The spans have as many elements, and are apart.
// Nothing happens where they have no data.
void convert(Span from, Span to);
void add(Span part, Span sum);

// to = from where both lie in the same memory: `to` at its start; `from` at its end where it is narrower, else at its
// start too. In order, on the calling thread.
void convert_in_place(Span from, Span to);

}  // namespace zerorun
