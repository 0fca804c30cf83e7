// What the attentions here share: a head's rows as fp32 tiles, and scratch of the threads that work on heads. For their sources.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>

#include "core/memory.h"
#include "core/ops/kernels/number.h"
#include "core/ops/kernels/tile_packing.h"

namespace zerorun::ops {

// The rows of one head of one sample of a [B, H, T, D] view whose last stride is 1, as fp32 tiles without gaps.
class HeadRows {
 public:
  HeadRows(const at::Tensor& tensor, int64_t sample, int64_t head)
      : rows_{static_cast<char*>(tensor.data_ptr()) + (sample * tensor.stride(0) + head * tensor.stride(1)) * tensor.element_size(),
              tensor.scalar_type(), tensor.stride(2), 1},
        width_(tensor.size(3)),
        bytes_(tensor.element_size()) {}

  void load(int64_t first, int64_t count, float* to) const { widen_tile(rows_, first, 0, count, width_, to, width_); }
  // [width, count]
  void load_transposed(int64_t first, int64_t count, float* to) const {
    widen_tile({rows_.data, rows_.dtype, 1, rows_.row_stride}, 0, first, width_, count, to, count);
  }
  void store(int64_t first, int64_t count, const float* from) const {
    for (int64_t r = 0; r < count; ++r) {
      narrow_row(rows_.dtype, from + r * width_, const_cast<char*>(rows_.data) + (first + r) * rows_.row_stride * bytes_, width_);
    }
  }

 private:
  PackedMatrix rows_;
  int64_t width_, bytes_;
};

// Hands out the parts of a thread's scratch.
struct Parts {
  float* next;
  float* take(int64_t count) { return std::exchange(next, next + count); }
};

// `floats` for each thread that gets one of the tasks.
inline at::Tensor scratch_of(int64_t tasks, int64_t floats, const at::Tensor& like) {
  const MemoryScope workspace(Category::workspace);
  return at::empty({std::min<int64_t>(at::get_num_threads(), tasks), floats}, like.options().dtype(at::kFloat));
}

// The calling thread's.
inline Parts parts_of(const at::Tensor& scratch) { return {scratch.data_ptr<float>() + at::get_thread_num() * scratch.size(1)}; }

}  // namespace zerorun::ops
