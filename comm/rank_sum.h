// The sum over ranks that every backend uses: parts are added in rank order in fp32 (fp64 for double) and rounded once to
// the dtype, element by element, so that the bits depend neither on the backend nor on where a piece begins.
#pragma once
#include <span>

#include "comm/on_block.h"
#include "core/gpu/handle.h"

namespace zerorun {

// float, double, bfloat16 and half.
bool can_rank_sum(c10::ScalarType dtype);

// sum = parts[0] + parts[1] + ... Each part has sum.count elements of sum.dtype; `sum` may be one of the parts, and is
// otherwise apart from them. `on_block`, where there is one, gets each block of the sum. REQUIRES at least one part. Reads each part once;
// no memory but the stack.
void rank_sum(std::span<const void* const> parts, Span sum, const OnBlock& on_block = {});

// On a GPU: the sum of `ranks` parts that lie `stride` elements of sum.dtype apart, the first at `parts`. `sum` may be one of them, and is otherwise apart.
void rank_sum(const void* parts, int64_t stride, int ranks, Span sum, GpuStream stream);

// The same blocks, of what has been summed before.
void for_each_block(Span values, const OnBlock& on_block);

}  // namespace zerorun
