// The norm of the gradient, and the factor that clips it.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "comm/communicator.h"

namespace zerorun {

// min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ does; 1 where max_norm is 0 (off).
inline double clip_factor(double norm, double max_norm) { return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0; }

// A sum of squares in fp64, of blocks that are added as ops::add_up does: the same bits for any number of threads, whoever brings the blocks, and on a GPU.
class SumOfSquares {
 public:
  // Forgets what there was. Blocks begin at multiples of kSumBlock.
  void expect(int64_t count) {
    blocks_.assign(static_cast<size_t>((count + kSumBlock - 1) / kSumBlock), 0.0);
    total_ = 0;
    next_block_ = 0;
    carried_ = 0;
  }
  // Thread-safe for blocks that differ.
  void add(int64_t begin, Span block);
  // The elements from the first on, in parts of any size, in order: the same total as by blocks. In parallel.
  void append(Span values);
  // Once all blocks are there: adds them up and gives their memory back, 8 bytes each.
  void close();
  // REQUIRES close().
  double total() const { return total_; }

 private:
  std::vector<double> blocks_;
  double total_ = 0;
  int64_t next_block_ = 0;       // of append
  int64_t carried_ = 0;          // elements of it that are there
  std::array<float, kSumBlock> carry_;
};

// Of the whole span, in host memory, in parallel. Nothing where it has no data.
double sum_of_squares(Span values);

// The squared norms of all groups in a step, each where its gradient is: on a GPU they are taken beside the host, and read together.
class NormsOfGroups {
 public:
  // `device`: where gradients are. 8 bytes a group there, charged to the caller's scope, where it is a GPU, or the meta device that stands for one.
  NormsOfGroups(size_t groups, at::Device device);

  // Of the next step.
  void restart();
  bool on_gpu() const { return of_gpu_.defined(); }
  void set(size_t group, double value) { values_[group] = value; }
  // Of the whole span, in parallel. Nothing where it has no data.
  void take(size_t group, Span values);
  // All added up. Blocks.
  double total();
  // On a GPU, launched: *sum += the norms that were taken there: total() to the bit. REQUIRES that none was set.
  void add_up_on_gpu(double* sum) const;

 private:
  std::vector<double> values_;
  std::vector<bool> on_gpu_;
  at::Tensor of_gpu_;  // fp64 [groups]
};

}  // namespace zerorun
