#include "core/ops/rotary.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/gpu/gpu.h"
#include "core/memory.h"
#include "core/ops/kernels/row_kernels.h"
#include "core/ops/moved.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Turns every pair by its angle, or back by it.
at::Tensor turn(const at::Tensor& x, int64_t head_dim, double theta, int64_t first_position, bool back) {
  const int64_t seq_len = x.size(1), half = head_dim / 2;
  auto out = at::empty_like(x);
  const MemoryScope workspace(Category::workspace);
  const auto table = at::empty({seq_len, 2, half}, x.options().dtype(at::kFloat));
  count_moved(x, out);
  if (x.is_meta()) return out;
  const TurnTable angles{table.data_ptr<float>(), seq_len, first_position, half, theta, back};
  const Turns turns{x.scalar_type(), seq_len, x.size(2), head_dim, table.const_data_ptr<float>(), x.const_data_ptr(), out.data_ptr()};
  if (x.is_cuda()) {
    fill_turns(angles, gpu::current_stream());
    turn_rows(turns, x.size(0) * seq_len, gpu::current_stream());
    return out;
  }
  at::parallel_for(0, seq_len, 16, [&](int64_t begin, int64_t end) { fill_turns(angles, begin, end); });
  at::parallel_for(0, x.size(0) * seq_len, 8, [&](int64_t begin, int64_t end) { turn_rows(turns, begin, end); });
  return out;
}

struct Rotary : torch::autograd::Function<Rotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t head_dim, double theta, int64_t first_position) {
    context->saved_data["head_dim"] = head_dim;
    context->saved_data["theta"] = theta;
    context->saved_data["first_position"] = first_position;
    return turn(x, head_dim, theta, first_position, false);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto& data = context->saved_data;
    const auto gradient = gradients[0].contiguous();
    return {turn(gradient, data["head_dim"].toInt(), data["theta"].toDouble(), data["first_position"].toInt(), true), at::Tensor(),
            at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor rotary(const at::Tensor& x, int64_t head_dim, double theta, int64_t first_position) {
  return Rotary::apply(x, head_dim, theta, first_position);
}

}  // namespace zerorun::ops
