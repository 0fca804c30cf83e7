// A unit's own autograd graph: how it begins, and how backward goes through it.
#pragma once
#include "core/unit.h"

namespace zerorun {

// What a unit reads: the same values as the unit before wrote, at the start of a graph of its own.
Carry start_of_graph(const Carry& outputs, bool requires_grad);

// Backward through one graph. An output that no weight went into, or that no later unit read, has no gradient to start with.
void run_graph(Carry outputs, Carry gradients);

// fp64, without dimensions. On the meta device there is no value: 0.
at::Tensor scalar(double value, at::Device device);
// Of a GPU's: blocks.
double value_of(const at::Tensor& scalar);
// A copy where it is not in host memory, charged there; on the meta device where that stands for a GPU. Blocks.
at::Tensor to_host(const at::Tensor& x);

}  // namespace zerorun
