#include "core/ops/swiglu.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kElementsPerTask = 1 << 13;

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

struct Swiglu : torch::autograd::Function<Swiglu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    auto out = at::empty_like(gate);
    if (gate.is_meta()) return out;
    const auto *g = gate.const_data_ptr<float>(), *u = up.const_data_ptr<float>();
    auto* o = out.data_ptr<float>();
    at::parallel_for(0, gate.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) o[i] = g[i] * sigmoid(g[i]) * u[i];
    });
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto gradient = gradients[0].contiguous();
    auto dgate = at::empty_like(saved[0]), dup = at::empty_like(saved[1]);
    if (gradient.is_meta()) return {dgate, dup};
    const auto *g = saved[0].const_data_ptr<float>(), *u = saved[1].const_data_ptr<float>(), *d = gradient.const_data_ptr<float>();
    auto *dg = dgate.data_ptr<float>(), *du = dup.data_ptr<float>();
    at::parallel_for(0, gradient.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float s = sigmoid(g[i]);
        dg[i] = d[i] * u[i] * s * (1 + g[i] * (1 - s));
        du[i] = d[i] * g[i] * s;
      }
    });
    return {dgate, dup};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) { return Swiglu::apply(gate, up); }

}  // namespace zerorun::ops
