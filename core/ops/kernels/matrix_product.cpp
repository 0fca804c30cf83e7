#include "core/ops/kernels/matrix_product.h"

#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "core/error.h"
#include "core/memory.h"
#include "core/operation_count.h"
#include "core/ops/kernels/number.h"
#include "core/ops/kernels/tile_packing.h"
#include "core/ops/side.h"
#include "core/round_up.h"

namespace zerorun::ops {
namespace {

namespace blas = at::native::cpublas;

constexpr int64_t kMaxRows = 256, kMaxColumns = 256, kMaxDepth = 512;

PackedMatrix packed(const at::Tensor& matrix) {
  ZR_CHECK(matrix.stride(0) == 1 || matrix.stride(1) == 1 || matrix.numel() == 0, "a matrix of strides {} and {}, expected one of them to be 1",
           matrix.stride(0), matrix.stride(1));
  return {static_cast<const char*>(matrix.const_data_ptr()), matrix.scalar_type(), matrix.stride(0), matrix.stride(1)};
}

// The product in tiles; scratch of a thread: sums, then a tile of each operand.
class TiledProduct {
 public:
  TiledProduct(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b)
      : rows_(a.size(0)), columns_(b.size(1)), depth_(a.size(1)),
        tile_rows_(std::min(kMaxRows, rows_)), tile_columns_(std::min(kMaxColumns, round_up(columns_, kStrip))),
        tile_depth_(std::min(kMaxDepth, round_up(depth_, 2))),
        row_tiles_((rows_ + tile_rows_ - 1) / tile_rows_), tiles_(row_tiles_ * ((columns_ + tile_columns_ - 1) / tile_columns_)) {
    const MemoryScope workspace(Category::workspace);
    const int64_t numbers = tile_rows_ * tile_columns_ + tile_depth_ * (tile_rows_ + tile_columns_);
    scratch_ = at::empty({std::min<int64_t>(at::get_num_threads(), tiles_), numbers}, out.options().dtype(at::kFloat));
  }

  void run(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, bool add) const {
    if (out.is_meta()) return;
    const bool in_bf16 = out.scalar_type() == at::kBFloat16 && blas::could_pack(at::kBFloat16);
    const auto left = packed(a), right = packed(b);
    StoredTile stored{out.scalar_type(), static_cast<char*>(out.data_ptr()), out.size(1), bias.defined() ? bias.const_data_ptr() : nullptr, add};
    at::parallel_for(0, tiles_, 1, [&](int64_t begin, int64_t end) {
      auto* sums = scratch_.data_ptr<float>() + at::get_thread_num() * scratch_.size(1);
      for (int64_t tile = begin; tile < end; ++tile) {
        const int64_t row = tile % row_tiles_ * tile_rows_, column = tile / row_tiles_ * tile_columns_;
        const int64_t rows = std::min(tile_rows_, rows_ - row), columns = std::min(tile_columns_, columns_ - column);
        if (in_bf16) {
          multiply_in_bf16(left, right, row, column, rows, columns, sums);
        } else {
          multiply_in_fp32(left, right, row, column, rows, columns, sums);
        }
        store_tile(stored, sums, tile_columns_, row, column, rows, columns);
      }
      if (in_bf16) blas::brgemm_release();
    });
  }

 private:
  void multiply_in_fp32(const PackedMatrix& a, const PackedMatrix& b, int64_t row, int64_t column, int64_t rows, int64_t columns,
                        float* sums) const {
    float *left = sums + tile_rows_ * tile_columns_, *right = left + tile_rows_ * tile_depth_;
    for (int64_t k = 0; k < depth_; k += tile_depth_) {
      const int64_t depth = std::min(tile_depth_, depth_ - k);
      widen_tile(a, row, k, rows, depth, left, tile_depth_);
      widen_tile(b, k, column, depth, columns, right, tile_columns_);
      blas::brgemm(rows, columns, depth, tile_depth_, tile_columns_, tile_columns_, k > 0, left, right, sums);
    }
  }

  void multiply_in_bf16(const PackedMatrix& a, const PackedMatrix& b, int64_t row, int64_t column, int64_t rows, int64_t columns,
                        float* sums) const {
    auto* left = reinterpret_cast<c10::BFloat16*>(sums + tile_rows_ * tile_columns_);
    auto* right = left + tile_rows_ * tile_depth_;
    for (int64_t k = 0; k < depth_; k += tile_depth_) {
      const int64_t depth = std::min(tile_depth_, depth_ - k), even = round_up(depth, 2);
      const bool in_place = a.column_stride == 1 && even == depth;
      if (!in_place) copy_tile(a, row, k, rows, depth, left, tile_depth_);
      const auto* from = in_place ? reinterpret_cast<const c10::BFloat16*>(a.data) + row * a.row_stride + k : left;
      interleave_tile(b, k, column, depth, columns, right);
      for (int64_t strip = 0; strip < columns; strip += kStrip) {
        blas::brgemm(rows, std::min(kStrip, columns - strip), even, in_place ? a.row_stride : tile_depth_, kStrip, tile_columns_, k > 0, from,
                     right + strip * even, sums + strip);
      }
    }
  }

  int64_t rows_, columns_, depth_;
  int64_t tile_rows_, tile_columns_, tile_depth_;
  int64_t row_tiles_, tiles_;
  at::Tensor scratch_;
};

// Over a great depth LibTorch's products of fp32 lose digits where they are narrow: every term is added to one sum. On a host the depth is cut, and the sums of the parts
// are added to each other.
class DeepProduct {
 public:
  DeepProduct(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) : out_(out), a_(a), b_(b), part_depth_(side_of(out) == Side::gpu ? a.size(1) : kPartDepth) {
    if (a.size(1) <= part_depth_) return;
    const MemoryScope workspace(Category::workspace);
    part_ = at::empty(out.sizes(), out.options());
  }

  void multiply(const at::Tensor& bias) {
    const auto [left, right] = part(0);
    bias.defined() ? at::addmm_out(out_, bias, left, right) : at::mm_out(out_, left, right);
    add_parts(part_depth_);
  }

  void add() {
    const auto [left, right] = part(0);
    if (!part_.defined()) {
      out_.addmm_(left, right);
    } else {
      add_parts(0);
    }
  }

 private:
  static constexpr int64_t kPartDepth = 8192;

  std::pair<at::Tensor, at::Tensor> part(int64_t begin) const {
    const int64_t depth = std::min(part_depth_, a_.size(1) - begin);
    return {a_.narrow(1, begin, depth), b_.narrow(0, begin, depth)};
  }

  void add_parts(int64_t begin) {
    for (; begin < a_.size(1); begin += part_depth_) {
      const auto [left, right] = part(begin);
      at::mm_out(part_, left, right);
      out_.add_(part_);
    }
  }

  at::Tensor out_, part_;
  const at::Tensor &a_, &b_;
  const int64_t part_depth_;
};

// A GPU's libraries sum in fp32 and round once by themselves.
bool in_tiles(const at::Tensor& out) { return is_reduced(out.scalar_type()) && side_of(out) == Side::host; }

}  // namespace

void count_product(int64_t rows, int64_t depth, int64_t columns, int64_t element_size, bool add) {
  CountScope::product(2 * rows * depth * columns, element_size * (rows * depth + depth * columns + (add ? 2 : 1) * rows * columns));
}

void multiply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  count_product(a.size(0), a.size(1), b.size(1), out.element_size(), /*add=*/false);
  if (in_tiles(out)) {
    TiledProduct(out, a, b).run(out, a, b, bias, /*add=*/false);
  } else {
    DeepProduct(out, a, b).multiply(bias);
  }
}

void add_product(const at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  count_product(a.size(0), a.size(1), b.size(1), sum.element_size(), /*add=*/true);
  if (in_tiles(sum)) {
    TiledProduct(sum, a, b).run(sum, a, b, {}, /*add=*/true);
  } else {
    DeepProduct(sum, a, b).add();
  }
}

}  // namespace zerorun::ops
