#include "zero/graph.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/backward_here.h"
#include "core/memory.h"
#include "core/ops/side.h"

namespace zerorun {

at::Tensor scalar(double value, at::Device device) {
  auto tensor = at::empty({}, at::TensorOptions().dtype(at::kDouble).device(device));
  if (tensor.is_cpu()) {
    *tensor.data_ptr<double>() = value;
  } else if (tensor.is_cuda()) {
    tensor.fill_(value);
  }
  return tensor;
}

double value_of(const at::Tensor& scalar) { return scalar.is_meta() ? 0 : scalar.item<double>(); }

at::Tensor to_host(const at::Tensor& x) {
  if (ops::side_of(x) == Side::host) return x;
  const MemoryScope host(Category::host);
  return x.is_meta() ? at::empty_like(x) : x.to(at::kCPU);
}

Carry start_of_graph(const Carry& outputs, bool requires_grad) {
  Carry inputs;
  for (const auto& output : outputs) inputs.push_back(output.detach().requires_grad_(requires_grad));
  return inputs;
}

void run_graph(Carry outputs, Carry gradients) {
  Carry roots, seeds;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].requires_grad() || !gradients[i].defined()) continue;
    roots.push_back(std::move(outputs[i]));
    seeds.push_back(std::move(gradients[i]));
  }
  const BackwardHere here;
  if (!roots.empty()) torch::autograd::backward(roots, seeds);
}

}  // namespace zerorun
