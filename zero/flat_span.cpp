#include "zero/flat_span.h"

#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "zero/flat_kernels.h"

namespace zerorun {
namespace {

constexpr int64_t kBlocksPerTask = 8;

int64_t blocks_of(int64_t count) { return (count + kFlatBlock - 1) / kFlatBlock; }

template <typename T>
T* at_element(Span span, int64_t begin) {
  return static_cast<T*>(span.data) + begin;
}

// Runs block(begin, count) over all blocks, in parallel.
template <typename Block>
void for_each_block(int64_t elements, Block&& block) {
  at::parallel_for(0, blocks_of(elements), kBlocksPerTask, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) block(b * kFlatBlock, std::min(kFlatBlock, elements - b * kFlatBlock));
  });
}

[[noreturn]] void refuse(at::ScalarType dtype) { fail(ErrorKind::bug, "a flat span of {}, expected fp32, bf16 or fp16", c10::toString(dtype)); }

}  // namespace

const float* read_block(Span span, int64_t begin, int64_t count, float* block) {
  switch (span.dtype) {
    case at::kFloat: return at_element<float>(span, begin);
    case at::kBFloat16: kernels::widen(at_element<c10::BFloat16>(span, begin), block, count); return block;
    case at::kHalf: kernels::widen(at_element<c10::Half>(span, begin), block, count); return block;
    default: refuse(span.dtype);
  }
}

void write_block(const float* values, Span span, int64_t begin, int64_t count) {
  switch (span.dtype) {
    case at::kFloat: std::memmove(at_element<float>(span, begin), values, count * sizeof(float)); return;
    case at::kBFloat16: kernels::narrow(values, at_element<c10::BFloat16>(span, begin), count); return;
    case at::kHalf: kernels::narrow(values, at_element<c10::Half>(span, begin), count); return;
    default: refuse(span.dtype);
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
      kernels::add(at_element<float>(sum, begin), addend, count);
      return;
    }
    read_block(sum, begin, count, sum_block);
    kernels::add(sum_block, addend, count);
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

double sum_of_squares(Span values) {
  if (!values.data) return 0;
  std::vector<double> blocks(blocks_of(values.count));
  for_each_block(values.count, [&](int64_t begin, int64_t count) {
    float block[kFlatBlock];
    blocks[begin / kFlatBlock] = kernels::sum_of_squares(read_block(values, begin, count, block), count);
  });
  double sum = 0;
  for (const double block : blocks) sum += block;
  return sum;
}

}  // namespace zerorun
