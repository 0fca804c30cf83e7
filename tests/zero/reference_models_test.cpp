// The models are the models: from the weights of a Hugging Face folder the engine computes what transformers computes from
// them in fp32. Losses, gradients and five steps of each optimizer are in expected.json and expected.safetensors; the
// tolerances are from what float32 differs from float64 there.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "comm/thread_communicator.h"
#include "core/error.h"
#include "core/weights/hf_folder.h"
#include "tests/data_path.h"
#include "tests/zero/world.h"
#include "zero/dry_run.h"

namespace zerorun::testing {
namespace {

using Json = nlohmann::json;

std::string folder_of(const std::string& name) { return data_path("core/data/hf/" + name); }

struct Reference {
  explicit Reference(const std::string& name)
      : weights(folder_of(name) + "/hf"),
        model(make_model(weights.config())),
        expected(Json::parse(std::ifstream(folder_of(name) + "/expected.json"))),
        values(folder_of(name) + "/expected.safetensors") {}

  std::vector<float> read(const std::string& tensor) const {
    std::vector<float> read(static_cast<size_t>(values.tensors().at(tensor).count()));
    values.read(tensor, 0, static_cast<int64_t>(read.size()), read.data());
    return read;
  }

  HfFolder weights;
  Model model;
  Json expected;
  SafetensorsFile values;
};

// This rank's samples; each token's target is the next, the last has none.
Batch batch_of(const Json& ids, int rank, int ranks) {
  const int64_t samples = std::ssize(ids) / ranks, length = std::ssize(ids[0]);
  Batch batch{at::empty({samples, length}, at::kLong), at::full({samples, length}, kIgnoredTarget, at::kLong), rank * samples};
  for (int64_t s = 0; s < samples; ++s) {
    const auto& sample = ids[static_cast<size_t>(rank * samples + s)];
    for (int64_t t = 0; t < length; ++t) {
      batch.tokens.data_ptr<int64_t>()[s * length + t] = sample[static_cast<size_t>(t)].get<int64_t>();
      if (t > 0) batch.targets.data_ptr<int64_t>()[s * length + t - 1] = sample[static_cast<size_t>(t)].get<int64_t>();
    }
  }
  return batch;
}

Values values_of(Engine& engine, ParamGroup::Content content) {
  Values values;
  const auto keep = [&](const Parameter& parameter, const at::Tensor& value) {
    values[parameter.name] = {value.const_data_ptr<float>(), value.const_data_ptr<float>() + value.numel()};
  };
  engine.for_each_parameter(keep, content);
  return values;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

struct Setup {
  std::string model;
  int stage, ranks;
};

std::ostream& operator<<(std::ostream& out, const Setup& setup) { return out << setup.model << ", stage " << setup.stage << ", " << setup.ranks << " ranks"; }

class ReferenceModels : public ::testing::TestWithParam<Setup> {
 protected:
  // Runs body(engine, rank) on thread ranks that start from the folder's weights.
  template <typename Body>
  void on_ranks(const Reference& reference, const Optimizer& optimizer, double max_norm, Body&& body) const {
    run_ranks(GetParam().ranks, [&](Communicator& communicator) {
      MemoryLedger ledger;
      EngineOptions options;
      options.sharding = Sharding::of_stage(GetParam().stage);
      options.max_norm = max_norm;
      options.initial = &reference.weights;
      Engine engine(reference.model, communicator, optimizer, ledger, options);
      body(engine, communicator.rank());
    });
  }

  struct Trained {
    std::vector<double> losses, norms;
    double loss_after = 0;
    Values weights;
  };
  Trained train(const Reference& reference, const Optimizer& optimizer, double lr, double max_norm) const {
    Trained trained;
    on_ranks(reference, optimizer, max_norm, [&](Engine& engine, int rank) {
      Trained own;
      for (const auto& ids : reference.expected.at("step_ids")) {
        const auto batch = batch_of(ids, rank, GetParam().ranks);
        const auto result = engine.train_step({&batch, 1}, lr);
        own.losses.push_back(result.loss);
        own.norms.push_back(result.gradient_norm);
      }
      const auto after = engine.evaluate(batch_of(reference.expected.at("input_ids"), rank, GetParam().ranks));
      own.loss_after = after.sum / static_cast<double>(after.tokens);
      own.weights = values_of(engine, ParamGroup::Content::parameters);
      if (rank == 0) trained = std::move(own);
    });
    return trained;
  }
};

void expect_steps(const Json& expected, const std::vector<double>& losses, const std::vector<double>& norms, double loss_after) {
  ASSERT_EQ(losses.size(), expected.at("step_losses").size());
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], expected["step_losses"][i].get<double>(), 1e-5) << "step " << i;
    EXPECT_NEAR(norms[i] / expected.at("step_grad_norms")[i].get<double>(), 1, 1e-5) << "step " << i;
  }
  EXPECT_NEAR(loss_after, expected.at("loss_after").get<double>(), 1e-5);
}

// flat[::(count / 32) | 1] of a parameter; the places count from 0.
template <typename Visit>
void for_each_sample(const std::vector<float>& values, const std::vector<float>& samples, Visit&& visit) {
  const size_t step = (values.size() / 32) | 1;
  ASSERT_EQ(samples.size(), (values.size() + step - 1) / step);
  for (size_t i = 0; i < samples.size(); ++i) visit(i * step, values[i * step], samples[i]);
}

// L2 norm of what training changed.
double distance(const std::vector<float>& a, const HfFolder& folder, const Parameter& parameter) {
  std::vector<float> b(a.size());
  folder.fill(parameter, 0, parameter.count(), b.data());
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(squares);
}

TEST_P(ReferenceModels, LossNormAndEveryGradientAreThose) {
  const Reference reference(GetParam().model);
  const auto optimizer = make_sgd({});
  StepResult result;
  Values gradients;
  on_ranks(reference, *optimizer, 0, [&](Engine& engine, int rank) {
    const auto batch = batch_of(reference.expected.at("input_ids"), rank, GetParam().ranks);
    const auto own = engine.train_step({&batch, 1}, 0);
    const auto own_gradients = values_of(engine, ParamGroup::Content::gradients);
    if (rank == 0) std::tie(result, gradients) = std::pair(own, own_gradients);
  });
  EXPECT_NEAR(result.loss, reference.expected.at("loss").get<double>(), 1e-5);
  EXPECT_NEAR(result.gradient_norm / reference.expected.at("grad_norm").get<double>(), 1, 1e-5);
  size_t compared = 0;
  for (const auto& [name, gradient] : gradients) {
    const auto expected = reference.read("grad." + name);
    EXPECT_LT(largest_difference(gradient, expected), 5e-6) << name;
    EXPECT_LT(relative_l2(gradient, expected), 1e-4) << name;
    ++compared;
  }
  for (const auto& [name, tensor] : reference.values.tensors()) compared -= name.starts_with("grad.");
  EXPECT_EQ(compared, 0u) << "every gradient, and no other";
}

TEST_P(ReferenceModels, FiveStepsOfAdamWLeadThere) {
  const Reference reference(GetParam().model);
  const auto trained = train(reference, *make_adamw({.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1}), 1e-3, 1.0);
  const auto& expected = reference.expected.at("adamw");
  expect_steps(expected, trained.losses, trained.norms, trained.loss_after);
  size_t near = 0, all = 0;
  for (const auto& [name, weight] : trained.weights) {
    const auto& noise = reference.expected.at("no_gradient");
    const auto [first, last] = noise.contains(name) ? noise[name].get<std::pair<size_t, size_t>>() : std::pair<size_t, size_t>{0, 0};
    for_each_sample(weight, reference.read("adamw.sample." + name), [&](size_t place, float value, float sample) {
      if (place >= first && place < last) return;
      const double difference = std::abs(static_cast<double>(value) - sample);
      EXPECT_LT(difference, 5e-4) << name << "[" << place << "]";
      near += difference < 2e-6;
      ++all;
    });
  }
  EXPECT_GE(static_cast<double>(near), 0.995 * static_cast<double>(all)) << near << " of " << all;
  for (const auto& group : reference.model.groups()) {
    for (const auto& parameter : group.parameters) {
      if (reference.expected.at("no_gradient").contains(parameter.name)) continue;
      const double moved = expected.at("update_l2").at(parameter.name).get<double>();
      EXPECT_NEAR(distance(trained.weights.at(parameter.name), reference.weights, parameter) / moved, 1, 1e-3) << parameter.name;
    }
  }
}

TEST_P(ReferenceModels, FiveStepsOfSgdLeadThere) {
  const Reference reference(GetParam().model);
  const auto trained = train(reference, *make_sgd({}), 0.1, 0);
  expect_steps(reference.expected.at("sgd"), trained.losses, trained.norms, trained.loss_after);
  for (const auto& [name, weight] : trained.weights) {
    for_each_sample(weight, reference.read("sgd.sample." + name), [&](size_t place, float value, float sample) {
      EXPECT_NEAR(value, sample, 2e-6) << name << "[" << place << "]";
    });
  }
}

std::vector<Setup> setups() {
  std::vector<Setup> setups;
  for (const char* model : {"gpt2-tiny", "llama-tiny", "llama-wide-head"}) {
    setups.push_back({model, 0, 1});
    setups.push_back({model, 3, 2});
  }
  return setups;
}

INSTANTIATE_TEST_SUITE_P(Setups, ReferenceModels, ::testing::ValuesIn(setups()));

// Counts what is asked for.
class CountingSource final : public ParameterSource {
 public:
  explicit CountingSource(const ParameterSource& inner) : inner_(inner) {}
  void fill(const Parameter& parameter, int64_t first, int64_t count, float* out) const override {
    elements_ += count;
    inner_.fill(parameter, first, count, out);
  }
  int64_t elements() const { return elements_; }

 private:
  const ParameterSource& inner_;
  mutable std::atomic<int64_t> elements_ = 0;
};

TEST(InitialWeights, AreReadByTheRankThatKeepsThemAndOnlyOnce) {
  const HfFolder folder(folder_of("llama-wide-head") + "/hf");
  const HfFolder shards(folder_of("llama-wide-head") + "/hf-sharded");
  const Model model = make_model(folder.config());
  const auto optimizer = make_sgd({});
  Values whole;
  for (const auto& group : model.groups()) {
    for (const auto& parameter : group.parameters) {
      auto& value = whole[parameter.name];
      value.resize(static_cast<size_t>(parameter.count()));
      folder.fill(parameter, 0, parameter.count(), value.data());
    }
  }
  for (const int stage : {0, 1, 2, 3}) {
    const CountingSource source(shards);
    run_ranks(3, [&](Communicator& communicator) {
      MemoryLedger ledger;
      EngineOptions options;
      options.sharding = Sharding::of_stage(stage);
      options.initial = &source;
      Engine engine(model, communicator, *optimizer, ledger, options);
      const auto values = values_of(engine, ParamGroup::Content::parameters);
      EXPECT_EQ(values, whole) << "stage " << stage;
    });
    EXPECT_EQ(source.elements(), model.parameter_count() * (stage == 3 ? 1 : 3)) << "stage " << stage;
  }
}

TEST(InitialWeights, AreNotReadByADryRun) {
  const HfFolder folder(folder_of("gpt2-tiny") + "/hf");
  const CountingSource source(folder);
  DryRunOptions options;
  options.engine.initial = &source;
  options.workload = {.micro_batch_size = 1, .seq_len = 8, .steps = 1};
  dry_run(make_model(folder.config()), *make_adamw({}), options);
  EXPECT_EQ(source.elements(), 0);
}

}  // namespace
}  // namespace zerorun::testing
