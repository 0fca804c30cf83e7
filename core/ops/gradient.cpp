#include "core/ops/gradient.h"

#include <ATen/ops/empty_like.h>

#include "core/ops/kernels/matrix_product.h"

namespace zerorun::ops {
namespace {

// Every write in place counts the version up; nothing counts this far.
constexpr uint32_t kUnwritten = 0xffff0000;

void set_version(const at::Tensor& tensor, uint32_t version) { tensor.unsafeGetTensorImpl()->set_version_counter(c10::VariableVersion(version)); }

}  // namespace

void leave_unwritten(const at::Tensor& gradient) { set_version(gradient, kUnwritten); }

bool take_unwritten(const at::Tensor& gradient) {
  if (gradient._version() != kUnwritten) return false;
  set_version(gradient, 0);
  return true;
}

at::Tensor& written(at::Tensor& gradient) { return take_unwritten(gradient) ? gradient.zero_() : gradient; }

at::Tensor add_product_to_gradient(const at::Tensor& weight, const at::Tensor& a, const at::Tensor& b) {
  if (!has_slot(weight)) {
    auto gradient = at::empty_like(weight);
    multiply(gradient, a, b);
    return gradient;
  }
  const at::Tensor sum = weight.grad();
  take_unwritten(sum) ? multiply(sum, a, b) : add_product(sum, a, b);
  return {};
}

}  // namespace zerorun::ops
