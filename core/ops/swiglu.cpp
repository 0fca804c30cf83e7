#include "core/ops/swiglu.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/gpu/gpu.h"
#include "core/ops/kernels/row_kernels.h"
#include "core/ops/moved.h"

namespace zerorun::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kElementsPerTask = 1 << 13;

struct Swiglu : torch::autograd::Function<Swiglu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    auto out = at::empty_like(gate);
    count_moved(gate, up, out);
    if (gate.is_meta()) return out;
    const SwigluPart all{gate.scalar_type(), gate.const_data_ptr(), up.const_data_ptr(), out.data_ptr(), nullptr, nullptr, nullptr};
    if (gate.is_cuda()) {
      swiglu_part(all, gate.numel(), gpu::current_stream());
    } else {
      at::parallel_for(0, gate.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) { swiglu_part(all, begin, end); });
    }
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto gradient = gradients[0].contiguous();
    auto dgate = at::empty_like(saved[0]), dup = at::empty_like(saved[1]);
    count_moved(gradient, saved[0], saved[1], dgate, dup);
    if (gradient.is_meta()) return {dgate, dup};
    const SwigluPart all{gradient.scalar_type(), saved[0].const_data_ptr(), saved[1].const_data_ptr(), nullptr, gradient.const_data_ptr(),
                         dgate.data_ptr(), dup.data_ptr()};
    if (gradient.is_cuda()) {
      swiglu_gradient_part(all, gradient.numel(), gpu::current_stream());
    } else {
      at::parallel_for(0, gradient.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) { swiglu_gradient_part(all, begin, end); });
    }
    return {dgate, dup};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) { return Swiglu::apply(gate, up); }

}  // namespace zerorun::ops
