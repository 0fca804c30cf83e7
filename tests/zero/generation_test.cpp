// Generation computes what transformers computes: the logits of every position, through the cache and without it, and the tokens
// of its greedy generation; at every stage and number of ranks.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "comm/thread_communicator.h"
#include "core/error.h"
#include "core/kv_cache.h"
#include "core/weights/hf_folder.h"
#include "tests/data_path.h"
#include "tests/zero/world.h"
#include "zero/generation.h"

namespace zerorun::testing {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

constexpr double kLogitTolerance = 5e-5;

std::string folder_of(const std::string& name) { return data_path("core/data/hf/" + name); }

at::Tensor tensor_of(const Json& rows) {
  const auto tokens = at::empty({std::ssize(rows), std::ssize(rows[0])}, at::kLong);
  auto* token = tokens.data_ptr<int64_t>();
  for (const auto& row : rows) token = std::ranges::copy(row.get<std::vector<int64_t>>(), token).out;
  return tokens;
}

struct Reference {
  explicit Reference(const std::string& name)
      : weights(folder_of(name) + "/hf"), model(make_model(weights.config())), expected(Json::parse(std::ifstream(folder_of(name) + "/expected.json"))) {
    const SafetensorsFile values(folder_of(name) + "/expected.safetensors");
    logits = at::empty(values.tensors().at("logits").shape);
    values.read("logits", 0, logits.numel(), logits.data_ptr<float>());
    tokens = tensor_of(expected.at("input_ids"));
  }

  HfFolder weights;
  Model model;
  Json expected;
  at::Tensor tokens;  // [2, 32]
  at::Tensor logits;  // [2, 32, V]
};

struct Setup {
  std::string model;
  int stage = 0, ranks = 1;
  at::ScalarType dtype = at::kFloat;
};

std::ostream& operator<<(std::ostream& out, const Setup& setup) { return out << setup.model << ", stage " << setup.stage << ", " << setup.ranks << " ranks"; }

struct Rank {
  const Model& model;
  Engine& engine;
  Communicator& communicator;
  MemoryLedger& ledger;
};

// On thread ranks with engines for inference from the folder's weights.
template <typename Body>
void on_ranks(const Setup& setup, const Reference& reference, Body&& body) {
  const auto optimizer = make_sgd({});
  run_ranks(setup.ranks, [&](Communicator& communicator) {
    MemoryLedger ledger;
    EngineOptions options;
    options.sharding = Sharding::of_stage(setup.stage);
    options.precision.parameters = setup.dtype;
    options.initial = &reference.weights;
    options.inference = true;
    Engine engine(reference.model, communicator, *optimizer, ledger, options);
    body(Rank{reference.model, engine, communicator, ledger});
  });
}

// [samples, positions - first, V]: of the position `first` from a prefill, of the others from decoding.
at::Tensor logits_from(const Rank& rank, const at::Tensor& tokens, int64_t first) {
  KeyValueCache cache(rank.model, tokens.size(1));
  std::vector<at::Tensor> logits{rank.engine.infer(tokens.narrow(1, 0, first + 1).contiguous(), cache)};
  for (int64_t t = first + 1; t < tokens.size(1); ++t) logits.push_back(rank.engine.infer(tokens.narrow(1, t, 1).contiguous(), cache));
  return at::stack(logits, 1);
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

using Texts = std::vector<std::vector<int64_t>>;

Texts generated(const Rank& rank, const at::Tensor& prompt, const GenerationOptions& options) {
  Texts texts(static_cast<size_t>(prompt.size(0)));
  generate(rank.model, rank.engine, rank.communicator, rank.ledger, prompt, options, [&](std::span<const int64_t> tokens) {
    for (size_t s = 0; s < texts.size(); ++s) texts[s].push_back(tokens[s]);
  });
  return texts;
}

class Generation : public ::testing::TestWithParam<Setup> {};

TEST_P(Generation, LogitsOfEveryPositionAreThoseOfTransformers) {
  const Reference reference(GetParam().model);
  const int64_t length = reference.tokens.size(1);
  on_ranks(GetParam(), reference, [&](const Rank& rank) {
    EXPECT_LT(largest_difference(logits_from(rank, reference.tokens, 0), reference.logits), kLogitTolerance) << "one position, then the rest";
    EXPECT_LT(largest_difference(logits_from(rank, reference.tokens, 9), reference.logits.narrow(1, 9, length - 9)), kLogitTolerance);
    for (int64_t t = 0; t < length; ++t) {
      KeyValueCache cache(rank.model, t + 1);
      const auto logits = rank.engine.infer(reference.tokens.narrow(1, 0, t + 1).contiguous(), cache);
      EXPECT_EQ(logits.scalar_type(), at::kFloat);
      EXPECT_LT(largest_difference(logits, reference.logits.select(1, t)), kLogitTolerance) << t + 1 << " positions at once";
    }
  });
}

TEST_P(Generation, GreedyTokensAreThoseOfTransformers) {
  const Reference reference(GetParam().model);
  const auto prompt = tensor_of(Json::array({reference.expected.at("prompt")}));
  const auto greedy = reference.expected.at("greedy").get<std::vector<int64_t>>();
  on_ranks(GetParam(), reference, [&](const Rank& rank) {
    for (const bool cached : {true, false}) {
      EXPECT_EQ(generated(rank, prompt, {.max_tokens = std::ssize(greedy), .cached = cached}), Texts{greedy}) << "cached: " << cached;
    }
  });
}

TEST_P(Generation, ASampleOfABatchIsGeneratedAsIfAlone) {
  const Reference reference(GetParam().model);
  on_ranks(GetParam(), reference, [&](const Rank& rank) {
    const auto both = logits_from(rank, reference.tokens, 5);
    for (int64_t s = 0; s < 2; ++s) {
      const auto alone = logits_from(rank, reference.tokens.narrow(0, s, 1).contiguous(), 5);
      EXPECT_LT(largest_difference(both.narrow(0, s, 1), alone), kLogitTolerance);
    }
    const auto prompts = reference.tokens.narrow(1, 0, 8).contiguous();
    const auto together = generated(rank, prompts, {.max_tokens = 8});
    for (size_t s = 0; s < 2; ++s) {
      EXPECT_EQ(generated(rank, prompts.narrow(0, static_cast<int64_t>(s), 1).contiguous(), {.max_tokens = 8}), Texts{together[s]});
    }
  });
}

TEST_P(Generation, EveryRankMayHaveATextOfItsOwn) {
  const Reference reference(GetParam().model);
  on_ranks(GetParam(), reference, [&](const Rank& rank) {
    const int64_t own = rank.communicator.rank() % 2;
    EXPECT_LT(largest_difference(logits_from(rank, reference.tokens.narrow(0, own, 1).contiguous(), 7), reference.logits.narrow(0, own, 1).narrow(1, 7, 25)),
              kLogitTolerance);
  });
}

TEST_P(Generation, InReducedPrecisionItIsWithinTheRoundingOfFp32) {
  const Reference reference(GetParam().model);
  for (const auto& [dtype, tolerance] : {std::pair{at::kBFloat16, 5 * 0x1p-8}, std::pair{at::kHalf, 5 * 0x1p-11}}) {
    auto setup = GetParam();
    setup.dtype = dtype;
    on_ranks(setup, reference, [&](const Rank& rank) {
      const auto logits = logits_from(rank, reference.tokens, 3), expected = reference.logits.narrow(1, 3, 29);
      EXPECT_EQ(logits.scalar_type(), at::kFloat);
      const double error = ((logits - expected).norm() / expected.norm()).item<double>();
      EXPECT_LT(error, tolerance) << c10::toString(dtype);
      EXPECT_GT(error, tolerance / 64) << "computed in another dtype";
    });
  }
}

std::vector<Setup> setups() {
  std::vector<Setup> setups;
  for (const char* model : {"gpt2-tiny", "llama-tiny", "llama-wide-head"}) {
    setups.push_back({model, 0, 1});
    setups.push_back({model, 3, 2});
  }
  setups.push_back({"llama-tiny", 1, 2});
  setups.push_back({"gpt2-tiny", 2, 3});
  return setups;
}

INSTANTIATE_TEST_SUITE_P(Setups, Generation, ::testing::ValuesIn(setups()));

TEST(Generating, TheSameSeedGivesTheSameTextOnAnyNumberOfRanksWithAndWithoutTheCache) {
  const Reference reference("llama-tiny");
  const auto prompt = reference.tokens.narrow(1, 0, 6).contiguous();
  const auto text = [&](int ranks, bool cached, uint64_t seed) {
    std::vector<Texts> of_ranks(static_cast<size_t>(ranks));
    on_ranks({"llama-tiny", ranks == 1 ? 0 : 3, ranks}, reference, [&](const Rank& rank) {
      const GenerationOptions options{.max_tokens = 24, .sampling = {.temperature = 1.2, .top_k = 100, .top_p = 0.95, .seed = seed}, .cached = cached};
      of_ranks[static_cast<size_t>(rank.communicator.rank())] = generated(rank, prompt, options);
    });
    for (const auto& of_rank : of_ranks) EXPECT_EQ(of_rank, of_ranks[0]);
    return of_ranks[0];
  };
  const auto first = text(1, true, 7);
  EXPECT_NE(first[0], first[1]) << "samples draw for themselves";
  EXPECT_EQ(text(1, false, 7), first);
  for (const int ranks : {2, 3}) EXPECT_EQ(text(ranks, true, 7), first) << ranks << " ranks";
  EXPECT_NE(text(1, true, 8), first);
}

TEST(Generating, ACacheTakesTheBytesOfItsFormulaAndNothingElseStays) {
  const Reference reference("llama-wide-head");
  const auto& config = std::get<LlamaConfig>(reference.weights.config());
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    on_ranks({"llama-wide-head", 3, 2, dtype}, reference, [&](const Rank& rank) {
      const int64_t capacity = 50, samples = 2;
      KeyValueCache cache(rank.model, capacity);
      const auto before = rank.ledger.usage().now_of(Category::activations);
      rank.engine.infer(reference.tokens.narrow(1, 0, 8).contiguous(), cache);
      rank.engine.infer(reference.tokens.narrow(1, 8, 1).contiguous(), cache);
      const int64_t bytes = 2 * config.num_hidden_layers * config.key_value_heads() * config.width_of_head() * samples * capacity *
                            static_cast<int64_t>(c10::elementSize(dtype));
      EXPECT_EQ(cache.bytes(), bytes);
      EXPECT_EQ(rank.ledger.usage().now_of(Category::activations) - before, bytes);
      EXPECT_EQ(cache.position(), 9);
    });
  }
}

TEST(Generating, AnEngineForInferenceKeepsItsSliceOfTheParametersAndNothingOfTraining) {
  const Reference reference("gpt2-tiny");
  for (const int stage : {0, 3}) {
    on_ranks({"gpt2-tiny", stage, 2, at::kBFloat16}, reference, [&](const Rank& rank) {
      const auto usage = rank.ledger.usage();
      int64_t elements = rank.engine.padding() + rank.model.parameter_count();
      EXPECT_EQ(usage.now_of(Category::parameters), 2 * elements / (stage == 3 ? 2 : 1));
      for (const auto category : {Category::gradients, Category::optimizer, Category::communication}) EXPECT_EQ(usage.peak_of(category), 0);
      EXPECT_EQ(usage.peak_of(Category::gathered) > 0, stage == 3);
      EXPECT_THROW(rank.engine.train_step({}, 0), Error);
    });
  }
}

TEST(Generating, AClearedCacheStartsAnotherText) {
  const Reference reference("gpt2-tiny");
  on_ranks({"gpt2-tiny"}, reference, [&](const Rank& rank) {
    KeyValueCache cache(rank.model, 12);
    const auto text = reference.tokens.narrow(0, 0, 1), other = reference.tokens.narrow(0, 1, 1);
    rank.engine.infer(text.narrow(1, 0, 12).contiguous(), cache);
    cache.clear();
    rank.engine.infer(other.narrow(1, 0, 4).contiguous(), cache);
    EXPECT_LT(largest_difference(rank.engine.infer(other.narrow(1, 4, 1).contiguous(), cache), reference.logits.select(0, 1).narrow(0, 4, 1)), kLogitTolerance);
    cache.clear();
    EXPECT_LT(largest_difference(rank.engine.infer(reference.tokens, cache = KeyValueCache(rank.model, 32)), reference.logits.select(1, 31)), kLogitTolerance);
  });
}

template <typename Body>
void expect_error(ErrorKind kind, const std::string& message, Body&& body) {
  try {
    body();
    ADD_FAILURE() << "no error: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(message));
  }
}

TEST(Generating, WhatDoesNotFitTheCacheIsAnErrorAndNotAWrongAnswer) {
  const Reference reference("llama-tiny");
  on_ranks({"llama-tiny"}, reference, [&](const Rank& rank) {
    const auto infer = [&](KeyValueCache& cache, int64_t samples, int64_t count) {
      rank.engine.infer(reference.tokens.narrow(0, 0, samples).narrow(1, 0, count).contiguous(), cache);
    };
    KeyValueCache cache(rank.model, 4);
    expect_error(ErrorKind::bad_data, "5 positions do not fit the cache of 4", [&] { infer(cache, 1, 5); });
    infer(cache, 1, 3);
    expect_error(ErrorKind::bug, "2 new positions after 3, expected one", [&] { infer(cache, 1, 2); });
    expect_error(ErrorKind::bug, "2 samples, but the cache holds 1", [&] { infer(cache, 2, 1); });
    infer(cache, 1, 1);
    expect_error(ErrorKind::bad_data, "5 positions do not fit the cache of 4", [&] { infer(cache, 1, 1); });
  });
}

// Mixes positions and keeps nothing.
class MeanOfPositions final : public Unit {
 public:
  MeanOfPositions() : Unit("mean", {{"mean.weight", {4}, Init::ones()}}) {}
  Carry forward(const StepContext&, Weights weights, Carry carry) const override { return {carry[0].mean(1, true) * weights[0]}; }
};

TEST(Generating, AUnitThatDoesNotSayThatItSupportsItIsRefusedByName) {
  const Model model({std::make_shared<MeanOfPositions>()});
  expect_error(ErrorKind::configuration, "the unit mean does not support generation", [&] { KeyValueCache(model, 4); });
}

}  // namespace
}  // namespace zerorun::testing
