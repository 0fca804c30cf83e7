#include "core/ops/rms_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "core/ops/gradient.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kElementsPerTask = 1 << 14;

int64_t rows_per_task(int64_t columns) { return std::max<int64_t>(kElementsPerTask / columns, 1); }

void normalise(const float* x, const float* weight, float* y, float* scale, int64_t rows, int64_t columns, double eps) {
  at::parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* in = x + r * columns;
      float* out = y + r * columns;
      float squares = 0;
#pragma omp simd reduction(+ : squares)
      for (int64_t c = 0; c < columns; ++c) squares += in[c] * in[c];
      const float s = scale[r] = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(columns) + eps));
      for (int64_t c = 0; c < columns; ++c) out[c] = in[c] * s * weight[c];
    }
  });
}

// With g = gradient weight and s = scale: dx = s (g - x s^2 mean(g x)).
void input_gradient(const float* gradient, const float* x, const float* weight, const float* scale, float* dx, int64_t rows, int64_t columns) {
  at::parallel_for(0, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float *g = gradient + r * columns, *in = x + r * columns;
      float* out = dx + r * columns;
      float product = 0;
#pragma omp simd reduction(+ : product)
      for (int64_t c = 0; c < columns; ++c) product += g[c] * weight[c] * in[c];
      const float s = scale[r], mean = product / static_cast<float>(columns) * s * s;
      for (int64_t c = 0; c < columns; ++c) out[c] = s * (g[c] * weight[c] - in[c] * mean);
    }
  });
}

// Rows in order within a range of columns: the same bits for any number of threads.
void add_weight_gradient(const float* gradient, const float* x, const float* scale, float* sum, int64_t rows, int64_t columns) {
  at::parallel_for(0, columns, 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = begin; c < end; ++c) sum[c] += gradient[r * columns + c] * x[r * columns + c] * scale[r];
    }
  });
}

struct ForkRmsNorm : torch::autograd::Function<ForkRmsNorm> {
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double eps) {
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    auto y = at::empty_like(x), scale = at::empty({rows}, x.options());
    if (!x.is_meta()) {
      normalise(x.const_data_ptr<float>(), weight.const_data_ptr<float>(), y.data_ptr<float>(), scale.data_ptr<float>(), rows, columns, eps);
    }
    context->save_for_backward({x, weight, scale});
    context->set_materialize_grads(false);
    return {x, y};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &scale = saved[2];
    const int64_t columns = x.size(-1), rows = x.numel() / columns;
    const auto gradient = gradients[1].contiguous();
    auto dx = at::empty_like(x);
    auto weight_gradient = add_to_gradient(weight, [&](at::Tensor& sum) {
      if (sum.is_meta()) return;
      add_weight_gradient(gradient.const_data_ptr<float>(), x.const_data_ptr<float>(), scale.const_data_ptr<float>(), sum.data_ptr<float>(), rows,
                          columns);
    });
    if (!x.is_meta()) {
      input_gradient(gradient.const_data_ptr<float>(), x.const_data_ptr<float>(), weight.const_data_ptr<float>(), scale.const_data_ptr<float>(),
                     dx.data_ptr<float>(), rows, columns);
    }
    if (gradients[0].defined()) dx.add_(gradients[0]);
    return {dx, weight_gradient, at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) { return fork_rms_norm(x, weight, eps).second; }

std::pair<at::Tensor, at::Tensor> fork_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto outputs = ForkRmsNorm::apply(x, weight, eps);
  return {outputs[0], outputs[1]};
}

}  // namespace zerorun::ops
