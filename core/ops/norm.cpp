// Layer norm and RMS norm: one computation, with a mean and a bias or without.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "core/ops/gradient.h"
#include "core/ops/kernels/column_sums.h"
#include "core/ops/kernels/norm_rows.h"
#include "core/ops/layer_norm.h"
#include "core/ops/moved.h"
#include "core/ops/rms_norm.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kElementsPerTask = 1 << 14;
constexpr int64_t kMinBlockRows = 64, kMaxBlocks = 256;

int64_t rows_per_task(int64_t columns) { return std::max<int64_t>(kElementsPerTask / columns, 1); }

const void* data_of(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }
const float* statistics_of(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr; }

// Sums over blocks of rows, fp32: their number depends on the rows alone, so that the bits do not depend on the threads.
struct BlockSums {
  int64_t rows, block_rows, blocks;
  at::Tensor weight, bias;  // [blocks, C] where asked for

  BlockSums(const at::Tensor& x, bool of_weight, bool of_bias)
      : rows(x.numel() / x.size(-1)), block_rows(std::max<int64_t>(kMinBlockRows, (rows + kMaxBlocks - 1) / kMaxBlocks)),
        blocks((rows + block_rows - 1) / block_rows) {
    const MemoryScope workspace(Category::workspace);
    if (of_weight) weight = at::empty({blocks, x.size(-1)}, x.options().dtype(at::kFloat));
    if (of_bias) bias = at::empty({blocks, x.size(-1)}, x.options().dtype(at::kFloat));
  }

  NormSums on_gpu() const {
    const auto data = [](const at::Tensor& sums) { return sums.defined() ? sums.data_ptr<float>() : nullptr; };
    return {block_rows, blocks, data(weight), data(bias)};
  }

  // body(begin, end, weight's sums, bias's sums) for the rows of every block.
  template <typename Body>
  void run(Body&& body) const {
    const auto of_block = [](const at::Tensor& sums, int64_t block) {
      if (!sums.defined()) return static_cast<float*>(nullptr);
      auto* row = sums.data_ptr<float>() + block * sums.size(1);
      std::fill_n(row, sums.size(1), 0.0f);
      return row;
    };
    at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) body(b * block_rows, std::min(rows, (b + 1) * block_rows), of_block(weight, b), of_block(bias, b));
    });
  }
};

struct ForkNorm : torch::autograd::Function<ForkNorm> {
  // No bias: RMS norm.
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                               double eps) {
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    const auto statistics = x.options().dtype(at::kFloat);
    auto y = at::empty_like(x), scale = at::empty({rows}, statistics), mean = bias ? at::empty({rows}, statistics) : at::Tensor();
    count_moved(x, y);
    if (!x.is_meta()) {
      const NormRows kernel{x.scalar_type(), columns, eps, x.const_data_ptr(), weight.const_data_ptr(), bias ? bias->const_data_ptr() : nullptr,
                            bias ? mean.data_ptr<float>() : nullptr, scale.data_ptr<float>(), y.data_ptr()};
      if (x.is_cuda()) {
        normalise_rows(kernel, rows, gpu::current_stream());
      } else {
        at::parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) { normalise_rows(kernel, begin, end); });
      }
    }
    context->save_for_backward({x, weight, bias.value_or(at::Tensor()), mean, scale});
    context->set_materialize_grads(false);
    return {x, y};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2], &mean = saved[3], &scale = saved[4];
    if (!gradients[1].defined()) return {gradients[0], at::Tensor(), at::Tensor(), at::Tensor()};
    const auto gradient = gradients[1].contiguous(), stream = gradients[0].defined() ? gradients[0].contiguous() : gradients[0];
    const auto dx = context->needs_input_grad(0) ? at::empty_like(x) : at::Tensor();
    const BlockSums sums(x, weight.requires_grad(), bias.defined() && bias.requires_grad());
    count_moved(gradient, x, stream, dx);
    if (!x.is_meta()) {
      const NormGradientRows kernel{x.scalar_type(), x.size(-1),          gradient.const_data_ptr(), x.const_data_ptr(), weight.const_data_ptr(),
                                    data_of(stream), statistics_of(mean), statistics_of(scale),      dx.defined() ? dx.data_ptr() : nullptr};
      if (x.is_cuda()) {
        norm_gradient_rows(kernel, sums.rows, sums.on_gpu(), gpu::current_stream());
      } else {
        sums.run([&](int64_t begin, int64_t end, float* of_weight, float* of_bias) { norm_gradient_rows(kernel, begin, end, of_weight, of_bias); });
      }
    }
    auto weight_gradient = add_to_gradient(weight, [&](at::Tensor& sum) { add_column_sums(sums.weight, sum); });
    auto bias_gradient = add_to_gradient(bias, [&](at::Tensor& sum) { add_column_sums(sums.bias, sum); });
    return {dx, weight_gradient, bias_gradient, at::Tensor()};
  }
};

std::pair<at::Tensor, at::Tensor> fork_norm(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, double eps) {
  const auto outputs = ForkNorm::apply(x, weight, bias, eps);
  return {outputs[0], outputs[1]};
}

}  // namespace

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  return fork_norm(x, weight, bias, eps).second;
}

std::pair<at::Tensor, at::Tensor> fork_layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  return fork_norm(x, weight, bias, eps);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) { return fork_norm(x, weight, std::nullopt, eps).second; }

std::pair<at::Tensor, at::Tensor> fork_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return fork_norm(x, weight, std::nullopt, eps);
}

}  // namespace zerorun::ops
