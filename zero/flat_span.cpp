#include "zero/flat_span.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/ops/kernels/number.h"
#include "zero/flat_kernels.h"

namespace zerorun {
namespace {

constexpr int64_t kBlocksPerTask = 8;

int64_t blocks_of(int64_t count) { return (count + kFlatBlock - 1) / kFlatBlock; }

void* element(Span span, int64_t index) {
  return static_cast<char*>(span.data) + index * static_cast<int64_t>(c10::elementSize(span.dtype));
}

// Runs block(begin, count) over all blocks, in parallel.
template <typename Block>
void for_each_block(int64_t elements, Block&& block) {
  at::parallel_for(0, blocks_of(elements), kBlocksPerTask, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) block(b * kFlatBlock, std::min(kFlatBlock, elements - b * kFlatBlock));
  });
}

}  // namespace

const float* read_block(Span span, int64_t begin, int64_t count, float* block) {
  if (span.dtype == at::kFloat) return static_cast<const float*>(span.data) + begin;
  ops::widen_row(span.dtype, element(span, begin), block, count);
  return block;
}

void write_block(const float* values, Span span, int64_t begin, int64_t count) {
  if (span.dtype == at::kFloat) {
    std::memmove(element(span, begin), values, count * sizeof(float));
  } else {
    ops::narrow_row(span.dtype, values, element(span, begin), count);
  }
}

void convert(Span from, Span to) {
  if (!from.data || !to.data) return;
  for_each_block(from.count, [&](int64_t begin, int64_t count) {
    float block[kFlatBlock];
    write_block(read_block(from, begin, count, block), to, begin, count);
  });
}

void add(Span part, Span sum) {
  if (!part.data || !sum.data) return;
  for_each_block(part.count, [&](int64_t begin, int64_t count) {
    float part_block[kFlatBlock], sum_block[kFlatBlock];
    const float* addend = read_block(part, begin, count, part_block);
    if (sum.dtype == at::kFloat) {
      kernels::flat_kernels().add(static_cast<float*>(sum.data) + begin, addend, count);
      return;
    }
    read_block(sum, begin, count, sum_block);
    kernels::flat_kernels().add(sum_block, addend, count);
    write_block(sum_block, sum, begin, count);
  });
}

// A block is read before it is written, and what is written ends before the next block that is read.
void convert_in_place(Span from, Span to) {
  if (!from.data || from.dtype == to.dtype) return;
  for (int64_t begin = 0; begin < from.count; begin += kFlatBlock) {
    const int64_t count = std::min(kFlatBlock, from.count - begin);
    float block[kFlatBlock];
    const float* values = read_block(from, begin, count, block);
    if (values != block) std::copy_n(values, count, block);
    write_block(block, to, begin, count);
  }
}

}  // namespace zerorun
