#include "zero/graph.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>

namespace zerorun {

at::Tensor scalar(double value, at::Device device) {
  auto tensor = at::empty({}, at::TensorOptions().dtype(at::kDouble).device(device));
  if (!tensor.is_meta()) *tensor.data_ptr<double>() = value;
  return tensor;
}

double value_of(const at::Tensor& scalar) { return scalar.is_meta() ? 0 : scalar.item<double>(); }

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
  if (!roots.empty()) torch::autograd::backward(roots, seeds);
}

}  // namespace zerorun
