#include "core/ops/rotary.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "core/memory.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Turns every pair by its angle, or back by it.
at::Tensor turn(const at::Tensor& x, int64_t head_dim, double theta, bool back) {
  const int64_t seq_len = x.size(1), width = x.size(2), half = head_dim / 2;
  auto out = at::empty_like(x);
  const MemoryScope workspace(Category::workspace);
  const auto table = at::empty({seq_len, 2, half}, x.options());
  if (x.is_meta()) return out;
  auto* turns = table.data_ptr<float>();
  at::parallel_for(0, seq_len, 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(t) * std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
        turns[(2 * t) * half + i] = static_cast<float>(std::cos(angle));
        turns[(2 * t + 1) * half + i] = static_cast<float>(back ? -std::sin(angle) : std::sin(angle));
      }
    }
  });
  const auto* in = x.const_data_ptr<float>();
  auto* to = out.data_ptr<float>();
  at::parallel_for(0, x.size(0) * seq_len, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *cosine = turns + 2 * (row % seq_len) * half, *sine = cosine + half;
      for (int64_t first = row * width; first < (row + 1) * width; first += head_dim) {
        for (int64_t i = 0; i < half; ++i) {
          const float a = in[first + i], b = in[first + half + i];
          to[first + i] = a * cosine[i] - b * sine[i];
          to[first + half + i] = b * cosine[i] + a * sine[i];
        }
      }
    }
  });
  return out;
}

struct Rotary : torch::autograd::Function<Rotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t head_dim, double theta) {
    context->saved_data["head_dim"] = head_dim;
    context->saved_data["theta"] = theta;
    return turn(x, head_dim, theta, false);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto gradient = gradients[0].contiguous();
    return {turn(gradient, context->saved_data["head_dim"].toInt(), context->saved_data["theta"].toDouble(), true), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rotary(const at::Tensor& x, int64_t head_dim, double theta) { return Rotary::apply(x, head_dim, theta); }

}  // namespace zerorun::ops
