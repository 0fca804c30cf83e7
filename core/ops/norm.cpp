// Layer norm and RMS norm: one computation, with a mean and a bias or without.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "core/ops/column_sums.h"
#include "core/ops/gradient.h"
#include "core/ops/layer_norm.h"
#include "core/ops/norm_rows.h"
#include "core/ops/rms_norm.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kElementsPerTask = 1 << 14;

int64_t rows_per_task(int64_t columns) { return std::max<int64_t>(kElementsPerTask / columns, 1); }

const void* data_of(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }
const float* statistics_of(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr; }

struct ForkNorm : torch::autograd::Function<ForkNorm> {
  // No bias: RMS norm.
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                               double eps) {
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    const auto statistics = x.options().dtype(at::kFloat);
    auto y = at::empty_like(x), scale = at::empty({rows}, statistics), mean = bias ? at::empty({rows}, statistics) : at::Tensor();
    if (!x.is_meta()) {
      const NormRows kernel{x.scalar_type(), columns, eps, x.const_data_ptr(), weight.const_data_ptr(), bias ? bias->const_data_ptr() : nullptr,
                            bias ? mean.data_ptr<float>() : nullptr, scale.data_ptr<float>(), y.data_ptr()};
      at::parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) { normalise_rows(kernel, begin, end); });
    }
    context->save_for_backward({x, weight, bias.value_or(at::Tensor()), mean, scale});
    context->set_materialize_grads(false);
    return {x, y};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2], &mean = saved[3], &scale = saved[4];
    if (!gradients[1].defined()) return {gradients[0], at::Tensor(), at::Tensor(), at::Tensor()};
    const auto gradient = gradients[1].contiguous();
    at::Tensor dx;
    if (context->needs_input_grad(0)) dx = input_gradient(gradient, gradients[0], x, weight, mean, scale);
    auto weight_gradient = add_to_gradient(weight, [&](at::Tensor& sum) { add_normalised_column_sums(gradient, x, mean, scale, sum); });
    auto bias_gradient = add_to_gradient(bias, [&](at::Tensor& sum) { add_column_sums(gradient, sum); });
    return {dx, weight_gradient, bias_gradient, at::Tensor()};
  }

  static at::Tensor input_gradient(const at::Tensor& gradient, const at::Tensor& of_stream, const at::Tensor& x, const at::Tensor& weight,
                                   const at::Tensor& mean, const at::Tensor& scale) {
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    const auto stream = of_stream.defined() ? of_stream.contiguous() : of_stream;
    auto dx = at::empty_like(x);
    if (x.is_meta()) return dx;
    const NormGradientRows kernel{x.scalar_type(), columns,         data_of(gradient),    data_of(x),    data_of(weight),
                                  data_of(stream), statistics_of(mean), statistics_of(scale), dx.data_ptr()};
    at::parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) { norm_gradient_rows(kernel, begin, end); });
    return dx;
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
