// torch::nn modules among a user's own units: sharded, trained and predicted like any unit.
#include "core/module_unit.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <array>
#include <atomic>

#include "comm/thread_communicator.h"
#include "core/ops/embedding.h"
#include "core/ops/gradient_in_forward.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/threads.h"
#include "tests/launcher/expect_error.h"
#include "tests/zero/world.h"
#include "zero/dry_run.h"

namespace zerorun::testing {
namespace {

constexpr int64_t kVocabulary = 61, kWidth = 24, kLength = 9, kGlobalBatch = 8, kSteps = 3;

class Embedding final : public Unit {
 public:
  Embedding() : Unit("embedding", {{"embedding.weight", {kVocabulary, kWidth}, Init::normal(0.1)}}) {}
  Carry forward(const StepContext& context, Weights weights, Carry) const override { return {ops::embed(context.tokens, weights[0])}; }
  bool backward_needs_weights() const override { return false; }
};

class Head final : public Unit {
 public:
  Head() : Unit("head", {{"head.weight", {kVocabulary, kWidth}, Init::normal(0.1)}}) {}
  Carry forward(const StepContext& context, Weights weights, Carry carry) const override {
    return {ops::gradient_in_forward(carry[0], context.loss_scale, [&](const at::Tensor& x) {
      return ops::linear_cross_entropy(x.flatten(0, 1), weights[0], context.targets.flatten(), context.loss_scale);
    })};
  }
  bool writes_gradients_in_forward() const override { return true; }
};

// Its mask is a buffer; the first matrix is used twice.
struct MaskedMlp : torch::nn::Module {
  MaskedMlp() {
    first = register_module("first", torch::nn::Linear(kWidth, kWidth));
    second = register_module("second", torch::nn::Linear(torch::nn::LinearOptions(kWidth, kWidth).bias(false)));
    mask = register_buffer("mask", at::rand({kWidth}) > 0.2);
    ++built;
  }
  at::Tensor forward(const at::Tensor& x) { return second(at::tanh(first(first(x) * mask))); }

  torch::nn::Linear first = nullptr, second = nullptr;
  at::Tensor mask;
  static inline std::atomic<int> built = 0;
};

template <typename M>
Model model_with() {
  return Model({std::make_shared<Embedding>(), module_unit("block", [] { return std::make_shared<M>(); }), std::make_shared<Head>()});
}

struct Outcome {
  std::vector<double> losses;
  Values initial, final;
  MemoryUsage memory;
};

Values read(Engine& engine) {
  Values values;
  engine.for_each_parameter([&](const Parameter& parameter, const at::Tensor& value) {
    values[parameter.name] = {value.const_data_ptr<float>(), value.const_data_ptr<float>() + value.numel()};
  });
  return values;
}

EngineOptions options_of(int stage, uint64_t seed = 42) {
  EngineOptions options;
  options.sharding = Sharding::of_stage(stage, 1, true);
  options.seed = seed;
  return options;
}

Outcome train(const Model& model, int stage, int ranks, bool reads_weights = true, uint64_t seed = 42) {
  Outcome outcome;
  const auto optimizer = make_adamw({});
  run_ranks(ranks, [&](Communicator& communicator) {
    set_compute_threads(1);
    MemoryLedger ledger;
    Engine engine(model, communicator, *optimizer, ledger, options_of(stage, seed));
    const CountedBatches batches(kVocabulary, kLength, kGlobalBatch);
    Outcome mine;
    if (reads_weights) mine.initial = read(engine);
    for (int64_t step = 0; step < kSteps; ++step) {
      const MemoryScope scope(ledger, Category::activations);
      const auto batch = micro_batches(batches, step, 1, kGlobalBatch / ranks, communicator.rank(), ranks);
      mine.losses.push_back(engine.train_step(batch, 1e-2).loss);
    }
    if (reads_weights) mine.final = read(engine);
    mine.memory = ledger.usage();
    if (communicator.rank() == ranks - 1) outcome = std::move(mine);
  });
  return outcome;
}

Prediction predict(const Model& model, int stage, int ranks) {
  DryRunOptions options;
  options.rank = ranks - 1;
  options.ranks = ranks;
  options.engine = options_of(stage);
  options.workload = {kGlobalBatch / ranks, kLength, kSteps, 0, 0};
  return dry_run(model, *make_adamw({}), options);
}

struct NormedLinear : torch::nn::Module {
  NormedLinear() {
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({kWidth})));
    linear = register_module("linear", torch::nn::Linear(kWidth, kWidth));
  }
  at::Tensor forward(const at::Tensor& x) { return x + linear(norm(x)); }

  torch::nn::LayerNorm norm = nullptr;
  torch::nn::Linear linear = nullptr;
};

TEST(ModuleUnit, TrainsWithTheSameBitsAtEveryStage) {
  const Model model = model_with<NormedLinear>();
  const auto whole = train(model, 0, 2);
  EXPECT_LT(whole.losses.back(), whole.losses.front());
  for (const int stage : {1, 2, 3}) {
    const auto sharded = train(model, stage, 2);
    EXPECT_EQ(sharded.losses, whole.losses);
    EXPECT_EQ(sharded.final, whole.final) << "stage " << stage;
  }
  for (const auto& [name, values] : whole.initial) EXPECT_NE(values, whole.final.at(name)) << name << " was not trained";
}

// The same chain, with the module's mathematics in a unit's own forward.
class PlainNormedLinear final : public Unit {
 public:
  explicit PlainNormedLinear(const Unit& other) : Unit(other.name(), other.parameters()) {}
  Carry forward(const StepContext&, Weights w, Carry carry) const override {
    return {carry[0] + at::linear(at::layer_norm(carry[0], {kWidth}, w[0], w[1]), w[2], w[3])};
  }
};

TEST(ModuleUnit, IsWhatItsForwardSays) {
  const auto unit = module_unit("block", [] { return std::make_shared<NormedLinear>(); });
  const Model plain({std::make_shared<Embedding>(), std::make_shared<PlainNormedLinear>(*unit), std::make_shared<Head>()});
  const Model module({std::make_shared<Embedding>(), unit, std::make_shared<Head>()});
  const auto expected = train(plain, 3, 2), found = train(module, 3, 2);
  EXPECT_EQ(found.losses, expected.losses);
  EXPECT_EQ(found.final, expected.final);
}

TEST(ModuleUnit, StartsAlikeAtEveryWorldSizeAndStage) {
  const Model model = model_with<MaskedMlp>();
  const auto alone = train(model, 0, 1);
  for (const int ranks : {2, 4}) {
    for (const int stage : {0, 3}) EXPECT_EQ(train(model, stage, ranks).initial, alone.initial) << ranks << " ranks, stage " << stage;
  }
  const auto other = train(model, 0, 1, true, 43);
  EXPECT_NE(other.initial.at("block.first.weight"), alone.initial.at("block.first.weight")) << "another seed";
}

TEST(ModuleUnit, TwoUnitsOfOneFactoryStartApart) {
  const auto make = [] { return std::make_shared<MaskedMlp>(); };
  const Model model({std::make_shared<Embedding>(), module_unit("a", make), module_unit("b", make), std::make_shared<Head>()});
  const auto outcome = train(model, 3, 2);
  EXPECT_NE(outcome.initial.at("a.first.weight"), outcome.initial.at("b.first.weight"));
}

TEST(ModuleUnit, LeavesTheCallersRandomNumbersAlone) {
  at::manual_seed(5);
  const double expected = at::rand({1}).item<double>();
  at::manual_seed(5);
  train(model_with<MaskedMlp>(), 3, 2);
  EXPECT_EQ(at::rand({1}).item<double>(), expected);
}

TEST(ModuleUnit, ItsMemoryIsPredictedToTheByte) {
  const Model model = model_with<MaskedMlp>();
  for (const int stage : {0, 1, 2, 3}) {
    for (const int ranks : {1, 2}) {
      const auto predicted = predict(model, stage, ranks).memory;
      const auto measured = train(model, stage, ranks, /*reads_weights=*/false).memory;
      for (int c = 0; c < kCategoryCount; ++c) {
        EXPECT_EQ(predicted.peak[c], measured.peak[c]) << name_of(static_cast<Category>(c)) << ", stage " << stage << ", ranks " << ranks;
      }
      EXPECT_EQ(predicted.total_peak, measured.total_peak);
      EXPECT_EQ(measured.now_of(Category::host), 0) << "the module on the host was freed";
      EXPECT_GT(measured.peak_of(Category::host), 2 * kWidth * kWidth * 4);
    }
  }
}

TEST(ModuleUnit, NeverHoldsTwoModulesAtOnce) {
  const auto make = [] { return std::make_shared<MaskedMlp>(); };
  std::vector<std::shared_ptr<const Unit>> units{std::make_shared<Embedding>()};
  for (int i = 0; i < 5; ++i) units.push_back(module_unit(fmt::format("blocks.{}", i), make));
  units.push_back(std::make_shared<Head>());
  const auto five = train(Model(units), 3, 2, false).memory;
  const auto one = train(model_with<MaskedMlp>(), 3, 2, false).memory;
  EXPECT_EQ(five.peak_of(Category::host), one.peak_of(Category::host));
}

TEST(ModuleUnit, ChargesItsBuffersToTheParameters) {
  const auto with = train(model_with<MaskedMlp>(), 3, 1, false).memory;
  const auto padded = static_cast<int64_t>(predict(model_with<MaskedMlp>(), 3, 1).padding) + model_with<MaskedMlp>().parameter_count();
  EXPECT_EQ(with.peak_of(Category::parameters), 4 * padded + kWidth);
}

TEST(ModuleUnit, IsBuiltOncePerRankForItsRun) {
  const Model model = model_with<MaskedMlp>();
  const int before = MaskedMlp::built;
  train(model, 3, 2, false);
  EXPECT_LE(MaskedMlp::built - before, 4) << "values and instance of two ranks";
}

// Batch norm in training writes its running statistics.
struct Normed : torch::nn::Module {
  explicit Normed(bool counts) : norm(torch::nn::BatchNorm1dOptions(kLength).track_running_stats(counts)) { register_module("norm", norm); }
  at::Tensor forward(const at::Tensor& x) { return norm(x); }
  torch::nn::BatchNorm1d norm;
};

TEST(ModuleUnit, ABufferThatForwardChangesIsRefused) {
  const auto model = [](bool counts) {
    return Model({std::make_shared<Embedding>(), module_unit("block", [counts] { return std::make_shared<Normed>(counts); }),
                  std::make_shared<Head>()});
  };
  EXPECT_THAT(message_of(ErrorKind::configuration, [&] { train(model(true), 3, 2); }), ::testing::HasSubstr("changes a buffer"));
  EXPECT_NO_THROW(train(model(false), 3, 2));
}

// Behind autograd's back: no version tells.
struct Counting : torch::nn::Module {
  Counting() {
    linear = register_module("linear", torch::nn::Linear(kWidth, kWidth));
    calls = register_buffer("calls", at::zeros({3}));
  }
  at::Tensor forward(const at::Tensor& x) {
    calls.data_ptr<float>()[2] += 1;
    return linear(x);
  }
  torch::nn::Linear linear = nullptr;
  at::Tensor calls;
};

TEST(ModuleUnit, ABufferThatIsWrittenThroughItsPointerIsRefused) {
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { train(model_with<Counting>(), 0, 1); }), ::testing::HasSubstr("changes a buffer"));
}

struct Halved : torch::nn::Module {
  Halved() { weight = register_parameter("weight", at::ones({kWidth})); }
  at::Tensor forward(const at::Tensor& x) {
    const at::NoGradGuard no_grad;
    weight.mul_(0.5);
    return x * weight;
  }
  at::Tensor weight;
};

TEST(ModuleUnit, AParameterThatForwardChangesIsRefused) {
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { train(model_with<Halved>(), 0, 1); }), ::testing::HasSubstr("or a parameter"));
}

struct Double : torch::nn::Module {
  Double() { register_parameter("weight", at::ones({kWidth}, at::kDouble)); }
  at::Tensor forward(const at::Tensor& x) { return x; }
};
struct Frozen : torch::nn::Module {
  Frozen() { register_parameter("weight", at::ones({kWidth}), /*requires_grad=*/false); }
  at::Tensor forward(const at::Tensor& x) { return x; }
};
struct Empty : torch::nn::Module {
  at::Tensor forward(const at::Tensor& x) { return x; }
};

TEST(ModuleUnit, WhatCannotBeShardedIsRefusedWithItsName) {
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { model_with<Double>(); }), ::testing::HasSubstr("block.weight is Double"));
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { model_with<Frozen>(); }), ::testing::HasSubstr("block.weight does not require grad"));
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { model_with<Empty>(); }), ::testing::HasSubstr("unit block has no parameters"));
}

TEST(ModuleUnit, AnOperationThatNeedsDataIsNamedByTheDryRun) {
  EXPECT_THAT(message_of(ErrorKind::configuration, [] { predict(model_with<NormedLinear>(), 3, 2); }),
              ::testing::ContainsRegex("aten::native_[a-z]+_norm does not run without data"));
}

}  // namespace
}  // namespace zerorun::testing
