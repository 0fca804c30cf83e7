// A model of one's own, trained sharded (ZeRO stage 3) on two ranks that are threads: an embedding and a head as units, and a
// torch::nn::Module between them. No rank ever holds the whole model. The task is to name the letter `kStep` further on.
#include <ATen/ops/empty.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <cstdio>
#include <exception>

#include "zerorun/module_unit.h"
#include "zerorun/zerorun.h"

using namespace zerorun;

constexpr int64_t kLetters = 26, kWidth = 48, kSamples = 16, kLength = 12, kStep = 5;
constexpr int kRanks = 2;

// A unit declares its parameters and computes with the weights it is handed.
struct Embedding : Unit {
  Embedding() : Unit("embedding", {{"embedding.weight", {kLetters, kWidth}, Init::normal(0.3)}}) {}
  Carry forward(const StepContext& context, Weights weights, Carry) const override { return {ops::embed(context.tokens, weights[0])}; }
};

// The last unit returns the sum of the losses.
struct Head : Unit {
  Head() : Unit("head", {{"head.weight", {kLetters, kWidth}, Init::normal(0.1)}}) {}
  Carry forward(const StepContext& context, Weights weights, Carry carry) const override {
    const auto x = carry[0].flatten(0, 1);
    return {ops::linear_cross_entropy(x, weights[0], context.targets.flatten(), context.loss_scale)};
  }
  bool writes_gradients_in_forward() const override { return true; }
};

// What the module is made of is the user's affair; it is built where its slices are needed, and freed.
std::shared_ptr<torch::nn::SequentialImpl> make_hidden() {
  using namespace torch::nn;
  return std::make_shared<SequentialImpl>(Linear(kWidth, 4 * kWidth), Tanh(), Linear(4 * kWidth, kWidth));
}

Batch make_batch(int64_t step, int rank) {
  Batch batch{at::empty({kSamples, kLength}, at::kLong), at::empty({kSamples, kLength}, at::kLong)};
  for (int64_t i = 0; i < kSamples * kLength; ++i) {
    const int64_t letter = (7 * step + 3 * rank + i * i) % kLetters;
    batch.tokens.data_ptr<int64_t>()[i] = letter;
    batch.targets.data_ptr<int64_t>()[i] = (letter + kStep) % kLetters;
  }
  return batch;
}

void train(const Model& model) {
  const auto optimizer = make_adamw({.weight_decay = 0});
  run_ranks(kRanks, [&](Communicator& communicator) {
    set_compute_threads(1);
    MemoryLedger ledger;
    Engine engine(model, communicator, *optimizer, ledger, {.sharding = Sharding::of_stage(3)});
    for (int64_t step = 0; step < 20; ++step) {
      const MemoryScope scope(ledger, Category::activations);
      const auto result = engine.train_step(std::array{make_batch(step, communicator.rank())}, 1e-2);
      if (communicator.rank() == 0) std::printf("step %d loss %.4f\n", static_cast<int>(step) + 1, result.loss);
    }
  });
}

int main() try {
  install_counting_allocators();
  const auto hidden = module_unit("hidden", make_hidden, [](auto& module, const StepContext&, Carry carry) -> Carry {
    return {carry[0] + module.forward(carry[0])};
  });
  train(Model({std::make_shared<Embedding>(), hidden, std::make_shared<Head>()}));
} catch (const std::exception& error) {
  std::fprintf(stderr, "custom_model: %s\n", error.what());
  return 1;
}
