#include "zero/flat_span.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/ops/kernels/number.h"
#include "zero/flat_kernels.h"
#include "zero/gpu_flat_kernels.h"

namespace zerorun {
namespace {

constexpr int64_t kBlocksPerTask = 8;

int64_t blocks_of(int64_t count) { return (count + kFlatBlock - 1) / kFlatBlock; }

// Runs block(begin, count) over all blocks, in parallel.
template <typename Block>
void for_each_block(int64_t elements, Block&& block) {
  at::parallel_for(0, blocks_of(elements), kBlocksPerTask, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) block(b * kFlatBlock, std::min(kFlatBlock, elements - b * kFlatBlock));
  });
}

constexpr int64_t kStaged = int64_t{1} << 22;  // elements

// Memory for a part of a span, and that part.
struct Staged {
  explicit Staged(Span whole) : memory(static_cast<size_t>(Span{nullptr, std::min(kStaged, whole.count), whole.dtype}.bytes())) {}
  Span part(Span whole, int64_t begin) { return {memory.data(), std::min(kStaged, whole.count - begin), whole.dtype}; }
  std::vector<std::byte> memory;
};

// Lets read(begin, part) see all of `from`, part by part, in host memory. Blocks.
template <typename Read>
void read_in_host_memory(Span from, Read&& read) {
  Staged staged(from);
  for (int64_t begin = 0; begin < from.count; begin += kStaged) {
    const Span part = staged.part(from, begin);
    copy(from.part(begin, part.count), part);
    gpu::synchronize();
    read(begin, part);
  }
}

}  // namespace

Span span_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.is_meta() ? nullptr : tensor.data_ptr(), tensor.numel(), tensor.scalar_type(), tensor.is_cuda() ? Side::gpu : Side::host};
}

void fill_in_host_memory(Span to, const std::function<void(int64_t begin, Span part)>& fill) {
  if (to.side == Side::host) return fill(0, to);
  Staged staged(to);
  for (int64_t begin = 0; begin < to.count; begin += kStaged) {
    const Span part = staged.part(to, begin);
    fill_zero(part);
    fill(begin, part);
    copy(part, to.part(begin, part.count));
    gpu::synchronize();
  }
}

const float* read_block(Span span, int64_t begin, int64_t count, float* block) {
  if (span.dtype == at::kFloat) return static_cast<const float*>(span.data) + begin;
  ops::widen_row(span.dtype, span.at(begin), block, count);
  return block;
}

void write_block(const float* values, Span span, int64_t begin, int64_t count) {
  if (span.dtype == at::kFloat) {
    std::memmove(span.at(begin), values, count * sizeof(float));
  } else {
    ops::narrow_row(span.dtype, values, span.at(begin), count);
  }
}

void convert(Span from, Span to) {
  if (!from.data || !to.data) return;
  if (from.dtype == to.dtype && (from.side == Side::gpu || to.side == Side::gpu)) return copy(from, to);
  if (from.side == Side::gpu && to.side == Side::gpu) return kernels::convert(from, to, gpu::current_stream());
  if (from.side == Side::gpu) return read_in_host_memory(from, [&](int64_t begin, Span part) { convert(part, to.part(begin, part.count)); });
  if (to.side == Side::gpu) return fill_in_host_memory(to, [&](int64_t begin, Span part) { convert(from.part(begin, part.count), part); });
  for_each_block(from.count, [&](int64_t begin, int64_t count) {
    float block[kFlatBlock];
    write_block(read_block(from, begin, count, block), to, begin, count);
  });
}

void round_block(const float* masters, Span to, const Rounding& rounding) {
  if (!rounding.at_random) return write_block(masters, to, 0, to.count);
  ZR_CHECK(to.dtype == at::kBFloat16, "masters are rounded at random to {}, expected bf16", c10::toString(to.dtype));
  kernels::flat_kernels().round_at_random(masters, to.count, rounding, static_cast<uint16_t*>(to.data));
}

void round_masters(Span masters, Span to, const Rounding& rounding) {
  if (!masters.data || !to.data) return;
  for_each_block(to.count, [&](int64_t begin, int64_t count) {
    round_block(static_cast<const float*>(masters.data) + begin, to.part(begin, count), rounding.from(begin));
  });
}

void add(Span part, Span sum) {
  if (!part.data || !sum.data) return;
  if (part.side == Side::gpu && sum.side == Side::gpu) return kernels::add(part, sum, gpu::current_stream());
  ZR_CHECK(part.side == sum.side, "numbers of one side are added to a sum of the other");
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

void add_by_way_of(std::span<std::byte> staging, Span part, Span sum) {
  if (part.side == Side::host || !part.data) return add(part, sum);
  const auto element = static_cast<int64_t>(c10::elementSize(part.dtype));
  const int64_t half = std::ssize(staging) / 2 / element;  // elements
  ZR_CHECK(half > 0, "a sum in host memory, a part on the GPU, and no memory by way of which it is added");
  const auto staged = [&](int64_t stretch) { return Span{staging.data() + stretch % 2 * half * element, std::min(half, part.count - stretch * half), part.dtype}; };
  std::array<Event, 2> arrived;
  const auto bring = [&](int64_t stretch) {
    if (stretch * half >= part.count) return;
    copy(part.part(stretch * half, half), staged(stretch));
    arrived[static_cast<size_t>(stretch % 2)] = gpu::record();
  };
  bring(0);
  for (int64_t stretch = 0; stretch * half < part.count; ++stretch) {
    bring(stretch + 1);
    arrived[static_cast<size_t>(stretch % 2)].finish();
    add(staged(stretch), sum.part(stretch * half, half));
  }
}

// A block is read before it is written, and what is written ends before the next block that is read.
void convert_in_place(Span from, Span to) {
  if (!from.data || from.dtype == to.dtype) return;
  if (from.side == Side::gpu) return kernels::convert_in_place(from, to, gpu::current_stream());
  for (int64_t begin = 0; begin < from.count; begin += kFlatBlock) {
    const int64_t count = std::min(kFlatBlock, from.count - begin);
    float block[kFlatBlock];
    const float* values = read_block(from, begin, count, block);
    if (values != block) std::copy_n(values, count, block);
    write_block(block, to, begin, count);
  }
}

}  // namespace zerorun
