#include "core/ops/linear_cross_entropy.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "core/operation_count.h"
#include "core/ops/gradient.h"
#include "core/ops/kernels/add_up.h"
#include "core/ops/kernels/matrix_product.h"
#include "core/ops/kernels/number.h"
#include "core/ops/kernels/softmax_rows.h"
#include "core/ops/side.h"
#include "core/round_up.h"
#include "core/unit.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void check_targets(const at::Tensor& targets, int64_t vocabulary) {
  const auto* target = targets.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < targets.numel(); ++i) {
    if (target[i] != kIgnoredTarget && (target[i] < 0 || target[i] >= vocabulary)) {
      fail(ErrorKind::bad_data, "target {} is outside the vocabulary of {}", target[i], vocabulary);
    }
  }
}

// Of a row of logits to the next: products on a GPU read 16 bytes at a time only where rows begin at such addresses, as those of most vocabularies would not.
int64_t stride_of(int64_t vocabulary, Side side) { return side == Side::gpu ? round_up(vocabulary, kGpuLogitsMultiple) : vocabulary; }

// What exists of the head at a time.
struct Chunk {
  at::Tensor logits;  // [rows, V], a row stride_of(V) after the other
  at::Tensor losses;  // [rows], fp64
  at::Tensor rows;    // of each thread one row in fp32, where the logits are not

  Chunk(int64_t count, const at::Tensor& x, int64_t vocabulary) {
    const MemoryScope workspace(Category::workspace);
    logits = at::empty({count, stride_of(vocabulary, side_of(x))}, x.options()).narrow(1, 0, vocabulary);
    losses = at::empty({count}, x.options().dtype(at::kDouble));
    if (!is_reduced(x.scalar_type()) || side_of(x) == Side::gpu) return;
    rows = at::empty({std::min<int64_t>(at::get_num_threads(), count), vocabulary}, x.options().dtype(at::kFloat));
  }
};

// Losses of the chunk's first rows; with gradient_scale != 0 the logits become the gradient of the logits.
void losses_of(const Chunk& chunk, const at::Tensor& targets, double gradient_scale) {
  if (chunk.logits.is_meta()) return;
  if (chunk.logits.is_cuda()) {
    return softmax_cross_entropy_rows({chunk.logits.scalar_type(), targets.size(0), chunk.logits.size(1), chunk.logits.stride(0), chunk.logits.data_ptr(), targets.const_data_ptr<int64_t>(),
                                       kIgnoredTarget, chunk.losses.data_ptr<double>(), static_cast<float>(gradient_scale)}, gpu::current_stream());
  }
  const int64_t vocabulary = chunk.logits.size(1), row_bytes = vocabulary * chunk.logits.element_size();
  const auto dtype = chunk.logits.scalar_type();
  auto* logit = static_cast<char*>(chunk.logits.data_ptr());
  const auto* target = targets.const_data_ptr<int64_t>();
  auto* loss = chunk.losses.data_ptr<double>();
  auto* buffers = chunk.rows.defined() ? chunk.rows.data_ptr<float>() : nullptr;
  at::parallel_for(0, targets.size(0), 1, [&](int64_t begin, int64_t end) {
    auto* buffer = buffers ? buffers + at::get_thread_num() * vocabulary : nullptr;
    for (int64_t i = begin; i < end; ++i) {
      char* row = logit + i * row_bytes;
      if (target[i] == kIgnoredTarget) {
        loss[i] = 0;
        std::fill(row, row + row_bytes, 0);
        continue;
      }
      float* numbers = buffer ? buffer : reinterpret_cast<float*>(row);
      if (buffer) widen_row(dtype, row, buffer, vocabulary);
      loss[i] = softmax_cross_entropy_row(numbers, vocabulary, target[i], static_cast<float>(gradient_scale));
      if (buffer && gradient_scale != 0) narrow_row(dtype, buffer, row, vocabulary);
    }
  });
}

void add_losses(const at::Tensor& losses, at::Tensor& sum) {
  if (losses.is_meta()) return;
  const auto* loss = losses.const_data_ptr<double>();
  if (losses.is_cuda()) return add_up(loss, losses.numel(), sum.data_ptr<double>(), gpu::current_stream());
  *sum.data_ptr<double>() += add_up(loss, losses.numel());
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets,
                            double loss_scale, bool training) {
    const int64_t rows = x.size(0), vocabulary = weight.size(0);
    const int64_t chunk_rows = rows_of_chunk(rows, vocabulary, x.scalar_type(), side_of(x));
    auto sum = at::empty({}, x.options().dtype(at::kDouble));
    sum.zero_();
    if (targets.is_cpu()) check_targets(targets, vocabulary);
    const auto dx = training && x.requires_grad() ? at::empty_like(x) : at::Tensor();
    const auto dweight = training && weight.requires_grad() ? gradient_of(weight) : at::Tensor();
    bool is_first = dweight.defined() && (!has_slot(weight) || take_unwritten(dweight));
    const Chunk chunk(chunk_rows, x, vocabulary);
    CountScope::moved((training ? 2 : 1) * rows * vocabulary * chunk.logits.element_size());  // the softmax reads a row, which then is in a cache, and writes its gradient
    // Without data the first chunk stands for all: none keeps anything. The others are counted.
    for (int64_t begin = 0; begin < (x.is_meta() ? chunk_rows : rows); begin += chunk_rows) {
      const int64_t count = std::min(chunk_rows, rows - begin);
      const auto part = x.narrow(0, begin, count), logits = chunk.logits.narrow(0, 0, count);
      multiply(logits, part, weight.t());
      losses_of(chunk, targets.narrow(0, begin, count), training ? loss_scale : 0);
      add_losses(chunk.losses.narrow(0, 0, count), sum);
      if (dx.defined()) multiply(dx.narrow(0, begin, count), logits, weight);
      if (dweight.defined()) std::exchange(is_first, false) ? multiply(dweight, logits.t(), part) : add_product(dweight, logits.t(), part);
    }
    for (int64_t begin = x.is_meta() ? chunk_rows : rows; begin < rows; begin += chunk_rows) {
      const int64_t count = std::min(chunk_rows, rows - begin), width = x.size(1), size = x.element_size();
      count_product(count, width, vocabulary, size, /*add=*/false);
      if (dx.defined()) count_product(count, vocabulary, width, size, /*add=*/false);
      if (dweight.defined()) count_product(vocabulary, count, width, size, /*add=*/true);
    }
    if (training) context->save_for_backward({dx, has_slot(weight) ? at::Tensor() : dweight});
    return sum;
  }

  static variable_list backward(AutogradContext* context, variable_list) {
    const auto saved = context->get_saved_variables();
    return {saved[0], saved[1], at::Tensor(), at::Tensor(), at::Tensor()};
  }

  // Where the weight's gradient is summed: its own .grad inside the engine, else a fresh tensor that backward returns.
  static at::Tensor gradient_of(const at::Tensor& weight) { return has_slot(weight) ? weight.grad() : at::empty_like(weight); }
};

}  // namespace

int64_t rows_of_chunk(int64_t rows, int64_t vocabulary, at::ScalarType dtype, Side side) {
  constexpr int64_t kTileRows = 256;
  const int64_t logits = side == Side::gpu ? kGpuChunkLogits : kChunkLogits;
  const int64_t least = is_reduced(dtype) ? (rows + kReducedChunks - 1) / kReducedChunks : 1;
  int64_t most = std::max(logits / vocabulary, least);
  if (side == Side::host || most < kTileRows || most >= rows) return std::min(rows, most);
  most -= most % kTileRows;
  const int64_t chunks = (rows + most - 1) / most;
  return std::min(rows, round_up((rows + chunks - 1) / chunks, kTileRows));
}

at::Tensor linear_cross_entropy(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& targets, double loss_scale) {
  const bool training = at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  return LinearCrossEntropy::apply(x, weight, targets, loss_scale, training);
}

}  // namespace zerorun::ops
