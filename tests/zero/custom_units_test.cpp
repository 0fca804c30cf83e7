// Units of a user's: a carry of several tensors, of which some need no gradient and some are never read.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "comm/thread_communicator.h"
#include "core/ops/gradient_in_forward.h"
#include "zero/engine.h"

namespace zerorun::testing {
namespace {

constexpr int64_t kWidth = 8;

// {a mask without gradient, the stream, a tensor that nobody reads}
class Source final : public Unit {
 public:
  Source() : Unit("source", {{"table", {5, kWidth}, Init::normal(0.1)}}) {}
  Carry forward(const StepContext& context, Weights w, Carry) const override {
    const auto x = at::embedding(w[0], context.tokens);
    return {at::ones({1, kWidth}, x.options().requires_grad(false)), x, x * 3};
  }
};

class Middle final : public Unit {
 public:
  Middle() : Unit("middle", {{"matrix", {kWidth, kWidth}, Init::normal(0.1)}}) {}
  Carry forward(const StepContext&, Weights w, Carry carry) const override {
    return {carry[0].detach(), at::matmul(carry[1], w[0]).tanh() * carry[0], carry[2]};
  }
};

// Says that its backward needs no weights, and reads them there.
class Forgetful final : public Unit {
 public:
  Forgetful() : Unit("forgetful", {{"matrix", {kWidth, kWidth}, Init::normal(0.1)}}) {}
  Carry forward(const StepContext&, Weights w, Carry carry) const override { return {carry[0].detach(), at::matmul(carry[1], w[0]), carry[2]}; }
  bool backward_needs_weights() const override { return false; }
};

class Loss final : public Unit {
 public:
  Loss() : Unit("loss", {{"scale", {kWidth}, Init::ones()}}) {}
  Carry forward(const StepContext& context, Weights w, Carry carry) const override {
    return {ops::gradient_in_forward(carry[1], context.loss_scale, [&](const at::Tensor& x) { return (x * w[0]).square().to(at::kDouble).sum(); })};
  }
  bool backward_needs_weights() const override { return false; }
  bool writes_gradients_in_forward() const override { return true; }
};

std::vector<float> trained(int stage, bool recompute) {
  const Model model({std::make_shared<Source>(), std::make_shared<Middle>(), std::make_shared<Loss>()});
  const auto optimizer = make_sgd({});
  std::vector<float> weights;
  run_ranks(2, [&](Communicator& communicator) {
    MemoryLedger ledger;
    EngineOptions options;
    options.sharding = Sharding::of_stage(stage);
    options.recompute = recompute;
    Engine engine(model, communicator, *optimizer, ledger, options);
    const auto tokens = at::arange(4, at::kLong).view({1, 4}) + communicator.rank();
    const std::array batches{Batch{tokens, tokens, communicator.rank()}};
    for (int step = 0; step < 3; ++step) engine.train_step(batches, 0.5);
    std::vector<float> mine;
    engine.for_each_parameter([&](const Parameter&, const at::Tensor& value) {
      const auto flat = value.contiguous();
      mine.insert(mine.end(), flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel());
    });
    if (communicator.rank() == 0) weights = std::move(mine);
  });
  return weights;
}

TEST(CustomUnits, TensorsWithoutAGradientMayFlowBesideTheStream) {
  const auto plain = trained(0, false);
  for (int stage = 0; stage <= 3; ++stage) {
    for (const bool recompute : {false, true}) EXPECT_EQ(trained(stage, recompute), plain) << "stage " << stage << (recompute ? ", recompute" : "");
  }
}

TEST(CustomUnits, AWeightThatWasReleasedIsAnErrorAndNoStaleValue) {
  const Model model({std::make_shared<Source>(), std::make_shared<Forgetful>(), std::make_shared<Loss>()});
  const auto optimizer = make_sgd({});
  run_ranks(1, [&](Communicator& communicator) {
    MemoryLedger ledger;
    Engine engine(model, communicator, *optimizer, ledger, {.sharding = Sharding::of_stage(3)});
    const auto tokens = at::arange(4, at::kLong).view({1, 4});
    const std::array batches{Batch{tokens, tokens, 0}};
    try {
      engine.train_step(batches, 0.5);
      ADD_FAILURE() << "backward read what was not there";
    } catch (const std::exception& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("not allocated"));
    }
  });
}

TEST(CustomUnits, WhatFlowsBesideTheStreamStopsNoGradient) {
  const Model model({std::make_shared<Source>(), std::make_shared<Middle>(), std::make_shared<Loss>()});
  const auto optimizer = make_sgd({});
  run_ranks(1, [&](Communicator& communicator) {
    MemoryLedger ledger;
    Engine engine(model, communicator, *optimizer, ledger, {});
    const auto tokens = at::zeros({1, 2}, at::kLong);
    engine.train_step(std::array{Batch{tokens, tokens, 0}}, 0.5);
    engine.for_each_parameter([](const Parameter& parameter, const at::Tensor& gradient) { EXPECT_GT(gradient.abs().sum().item<float>(), 0) << parameter.name; },
                              ParamGroup::Content::gradients);
  });
}

}  // namespace
}  // namespace zerorun::testing
