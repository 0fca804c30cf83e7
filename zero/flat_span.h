// Element-wise work on flat spans of fp32, bf16 or fp16: values are computed in fp32 and rounded once, to nearest even.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "core/span.h"
#include "zero/rounding.h"

namespace zerorun {

// The whole of a tensor without gaps; no data where it has none.
Span span_of(const at::Tensor& tensor);

// Elements that are widened at a time, on the stack.
inline constexpr int64_t kFlatBlock = 2048;

// Elements [begin, begin + count) of `span` as fp32: a pointer into it where it is fp32, else into `block`, which is filled.
// REQUIRES count <= kFlatBlock.
const float* read_block(Span span, int64_t begin, int64_t count, float* block);
void write_block(const float* values, Span span, int64_t begin, int64_t count);

// The parameters of masters, as `rounding` says; of a block on the calling thread, or all in parallel. In host memory. REQUIRES bf16 where it is at random.
void round_block(const float* masters, Span to, const Rounding& rounding);
void round_masters(Span masters, Span to, const Rounding& rounding);

// to = from, sum += part: element by element, in parallel. The spans have as many elements, and are apart. Nothing happens where they have no data.
// On a GPU in the order of the calling thread's stream. From one side to the other convert waits on the host where dtypes differ. add REQUIRES one side.
void convert(Span from, Span to);
void add(Span part, Span sum);

// sum += part, where `part` may be on a GPU and `sum` is in host memory: stretch by stretch, of which one arrives in `staging` while the one before it is added. Blocks. `staging` is
// pinned, and of any size; it is needed where `part` is on a GPU.
void add_by_way_of(std::span<std::byte> staging, Span part, Span sum);

// Lets fill(begin, part) write all of `to`, part by part: to itself, or to host memory from where it is copied. Blocks.
void fill_in_host_memory(Span to, const std::function<void(int64_t begin, Span part)>& fill);

// to = from where both lie in the same memory: `to` at its start; `from` at its end where it is narrower, else at its
// start too. In order, on the calling thread. REQUIRES one side.
void convert_in_place(Span from, Span to);

}  // namespace zerorun
