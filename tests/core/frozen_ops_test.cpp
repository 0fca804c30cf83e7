// What an op does to the gradients of its weights: it adds to those that are trained; for the others nothing is computed or kept.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/ops/embedding.h"
#include "core/ops/gradient_in_forward.h"
#include "core/ops/layer_norm.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/rms_norm.h"
#include "tests/core/expect_same.h"

namespace zerorun::testing {
namespace {

// Gradients of every subset of trained leaves are those where all are trained, and a second use adds the same again.
void expect_gradients_are_added_where_trained(const Tensors& values, const Function& op) {
  auto all = leaves(values, true), twice = leaves(values, true);
  const auto out = op(all);
  const auto seed = out.dim() == 0 ? at::ones_like(out) : at::randn_like(out);
  torch::autograd::backward({out}, {seed});
  for (int use = 0; use < 2; ++use) torch::autograd::backward({op(twice)}, {seed});
  for (size_t i = 0; i < values.size(); ++i) EXPECT_TRUE(at::allclose(twice[i].grad(), all[i].grad() * 2, 1e-5, 1e-6)) << "input " << i;
  for (size_t trained = 1; trained < size_t{1} << values.size(); ++trained) {
    Tensors some;
    for (size_t i = 0; i < values.size(); ++i) {
      some.push_back(values[i].clone().requires_grad_(trained >> i & 1));
      if (trained >> i & 1) some.back().mutable_grad() = at::zeros_like(values[i]);
    }
    torch::autograd::backward({op(some)}, {seed});
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(some[i].grad().defined(), bool(trained >> i & 1));
      if (!some[i].grad().defined()) continue;
      EXPECT_TRUE(at::equal(some[i].grad(), all[i].grad())) << "input " << i << ", trained " << trained;
    }
  }
}

TEST(FrozenWeights, LeaveTheOtherGradientsAsTheyWereAndThoseAreAddedTo) {
  const auto tokens = at::randint(0, 11, {3, 5}, at::kLong), targets = at::randint(0, 13, {10}, at::kLong);
  expect_gradients_are_added_where_trained({at::randn({2, 5, 7}), at::randn({7, 13}), at::randn({13})},
                           [](const Tensors& t) { return ops::conv1d(t[0], t[1], t[2]); });
  expect_gradients_are_added_where_trained({at::randn({2, 5, 7}), at::randn({13, 7}), at::randn({4, 7})},
                           [](const Tensors& t) { return at::cat(ops::linears(t[0], {t[1], t[2]}), -1); });
  expect_gradients_are_added_where_trained({at::randn({2, 5, 7}), at::randn({7}), at::randn({7})},
                           [](const Tensors& t) { return ops::layer_norm(t[0], t[1], t[2], 1e-5); });
  expect_gradients_are_added_where_trained({at::randn({2, 5, 7}), at::randn({7})}, [](const Tensors& t) { return ops::rms_norm(t[0], t[1], 1e-5); });
  expect_gradients_are_added_where_trained({at::randn({11, 7}), at::randn({6, 7})}, [&](const Tensors& t) { return ops::embed(tokens, t[0], t[1]); });
  expect_gradients_are_added_where_trained({at::randn({10, 7}), at::randn({13, 7})},
                           [&](const Tensors& t) { return ops::linear_cross_entropy(t[0], t[1], targets, 1.0); });
}

TEST(FrozenWeights, AreNoReasonToKeepTheInput) {
  MemoryLedger ledger;
  const MemoryScope scope(ledger, Category::activations);
  const auto weight = at::randn({64, 64}), bias = at::randn({64});
  auto x = at::randn({100, 64}).requires_grad_();
  const auto before = ledger.usage().total_now;
  auto h = ops::linear(ops::conv1d(x * 2, weight, bias), weight);
  EXPECT_LE(ledger.usage().total_now - before, 100 * 64 * 4 + 64);  // the output alone
}

TEST(FrozenWeights, AHeadsGradientsAreCompleteThoughItsInputNeedsNone) {
  const auto targets = at::randint(0, 13, {10}, at::kLong);
  const auto x = at::randn({10, 7});
  auto weight = at::randn({13, 7}).requires_grad_(), trained = x.clone().requires_grad_();
  const auto head = [&](const Tensor& input) {
    return ops::gradient_in_forward(input, 0.5, [&](const Tensor& h) { return ops::linear_cross_entropy(h, weight, targets, 0.5); });
  };
  const auto loss = head(trained);
  EXPECT_TRUE(loss.requires_grad());
  const auto expected = weight.grad().clone();
  weight.mutable_grad().zero_();
  const auto same_loss = head(x);
  EXPECT_FALSE(same_loss.requires_grad());
  EXPECT_EQ(same_loss.item<double>(), loss.item<double>());
  EXPECT_TRUE(at::equal(weight.grad(), expected));
  weight.requires_grad_(false);
  EXPECT_FALSE(head(x).requires_grad());
  EXPECT_TRUE(at::equal(weight.grad(), expected));
}

}  // namespace
}  // namespace zerorun::testing
