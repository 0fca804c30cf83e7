// An op against its reference in plain LibTorch, and its memory on cpu against meta.
#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/memory.h"
#include "core/threads.h"

namespace zerorun::testing {

using at::Tensor;
using Tensors = std::vector<Tensor>;
using Function = std::function<Tensor(const Tensors&)>;

inline Tensors leaves(const Tensors& values, bool with_slots) {
  Tensors result;
  for (const auto& value : values) {
    auto leaf = value.clone().requires_grad_(value.is_floating_point());
    if (with_slots && value.is_floating_point()) leaf.mutable_grad() = at::zeros_like(value);
    result.push_back(leaf);
  }
  return result;
}

// Value, then gradients, of ours against the reference: to 1e-5 of the largest element.
inline void expect_same(const Tensors& values, const Function& ours, const Function& reference) {
  for (const bool with_slots : {true, false}) {
    auto a = leaves(values, with_slots), b = leaves(values, false);
    const auto mine = ours(a), theirs = reference(b);
    ASSERT_EQ(mine.sizes(), theirs.sizes());
    ASSERT_LE((mine - theirs).abs().max().item<double>(), 1e-5 * theirs.abs().max().item<double>() + 1e-6);
    const auto seed = theirs.dim() == 0 ? at::full({}, 1.0, theirs.options()) : at::randn_like(theirs);
    torch::autograd::backward({mine}, {seed.to(mine.scalar_type())});
    torch::autograd::backward({theirs}, {seed});
    for (size_t i = 0; i < a.size(); ++i) {
      if (!b[i].grad().defined()) continue;
      const double scale = b[i].grad().abs().max().item<double>();
      EXPECT_LE((a[i].grad() - b[i].grad()).abs().max().item<double>(), 1e-5 * scale + 1e-6) << "input " << i << (with_slots ? ", slot" : "");
    }
  }
}

// In bf16 or fp16: ours on values of that dtype against the reference on the same values in fp64, to `roundings` units in the last
// place of the largest element.
inline void expect_same_in(at::ScalarType dtype, const Tensors& values, const Function& ours, const Function& reference, double roundings = 1) {
  const double unit = dtype == at::kHalf ? 0x1p-10 : 0x1p-7;
  const auto expect_close = [&](const Tensor& mine, const Tensor& theirs, const std::string& what) {
    ASSERT_TRUE(mine.defined()) << what;
    EXPECT_EQ(mine.sizes(), theirs.sizes()) << what;
    EXPECT_LE((mine.to(at::kDouble) - theirs).abs().max().item<double>(), roundings * unit * theirs.abs().max().item<double>() + 1e-7)
        << what << " in " << c10::toString(dtype);
  };
  for (const bool with_slots : {true, false}) {
    Tensors rounded, exact;
    for (const auto& value : values) {
      rounded.push_back(value.to(dtype));
      exact.push_back(rounded.back().to(at::kDouble));
    }
    auto a = leaves(rounded, with_slots), b = leaves(exact, false);
    const auto mine = ours(a), theirs = reference(b);
    expect_close(mine, theirs, "value");
    const auto seed = theirs.dim() == 0 ? at::full({}, 1.0, at::kDouble) : at::randn(theirs.sizes()).to(dtype).to(at::kDouble);
    torch::autograd::backward({mine}, {seed.to(mine.scalar_type())});
    torch::autograd::backward({theirs}, {seed});
    for (size_t i = 0; i < a.size(); ++i) {
      if (!b[i].grad().defined()) continue;
      expect_close(a[i].grad(), b[i].grad(), "gradient of input " + std::to_string(i) + (with_slots ? ", slot" : ""));
      EXPECT_EQ(a[i].grad().scalar_type(), dtype);
    }
  }
}

// Peak bytes of forward and backward, on a device. What follows the first `inputs` shapes are weights: leaves with slots.
inline std::pair<MemoryUsage, MemoryUsage> memory_of(at::Device device, const std::vector<std::vector<int64_t>>& shapes, const Function& op,
                                                       size_t inputs, at::ScalarType dtype = at::kFloat) {
  MemoryLedger ledger;
  const MemoryScope scope(ledger, Category::activations);
  Tensors leaves;
  for (const auto& shape : shapes) {
    auto leaf = at::empty(shape, at::TensorOptions().device(device).dtype(dtype));
    if (device.is_cpu()) leaf.normal_();
    leaves.push_back(leaf.requires_grad_());
    if (leaves.size() > inputs) leaves.back().mutable_grad() = at::zeros_like(leaf);
  }
  ledger.reset_peaks();
  auto out = op(leaves);
  const auto forward = ledger.usage();
  const auto seed = at::ones_like(out);
  ledger.reset_peaks();
  torch::autograd::backward({std::exchange(out, {})}, {seed});
  return {forward, ledger.usage()};
}

inline void expect_same_memory(const std::vector<std::vector<int64_t>>& shapes, const Function& op, size_t inputs = 1,
                               at::ScalarType dtype = at::kFloat) {
  SCOPED_TRACE(c10::toString(dtype));
  for (const int threads : {1, 2}) {
    set_compute_threads(threads);
    const auto cpu = memory_of(at::kCPU, shapes, op, inputs, dtype), meta = memory_of(at::kMeta, shapes, op, inputs, dtype);
    EXPECT_EQ(cpu.first.total_peak, meta.first.total_peak) << "forward, " << threads << " threads";
    EXPECT_EQ(cpu.first.total_now, meta.first.total_now) << "after forward";
    EXPECT_EQ(cpu.second.total_peak, meta.second.total_peak) << "backward, " << threads << " threads";
    EXPECT_EQ(cpu.second.total_now, meta.second.total_now) << "after backward";
  }
  set_compute_threads(1);
}

}  // namespace zerorun::testing
