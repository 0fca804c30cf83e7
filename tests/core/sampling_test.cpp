// Draws from logits: greedy, cut, and with the frequencies of the distribution.
#include "core/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"

namespace zerorun::testing {
namespace {


// Logits of the probabilities 0.4, 0.3, 0.15, 0.1, 0.05, not in that order.
const std::vector<double> kProbabilities{0.1, 0.4, 0.05, 0.3, 0.15};
constexpr int64_t kDraws = 40'000;

std::vector<float> logits() {
  std::vector<float> logits;
  for (const double p : kProbabilities) logits.push_back(static_cast<float>(std::log(p) + 3));
  return logits;
}

std::vector<double> frequencies(const Sampling& sampling) {
  const auto from = logits();
  std::vector<double> frequencies(from.size());
  for (int64_t i = 0; i < kDraws; ++i) frequencies[static_cast<size_t>(draw_token(from, sampling, i % 3, i / 3))] += 1;
  for (double& frequency : frequencies) frequency /= kDraws;
  return frequencies;
}

// Within five standard deviations; what has no probability is never drawn.
void expect_frequencies(const Sampling& sampling, const std::vector<double>& expected) {
  const auto found = frequencies(sampling);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 5 * std::sqrt(expected[i] * (1 - expected[i]) / kDraws)) << "token " << i;
  }
}

TEST(DrawToken, FollowsTheDistribution) { expect_frequencies({.temperature = 1}, kProbabilities); }

TEST(DrawToken, TemperatureIsAPowerOfTheProbabilities) {
  for (const double temperature : {0.5, 2.0}) {
    std::vector<double> expected;
    double total = 0;
    for (const double p : kProbabilities) total += expected.emplace_back(std::pow(p, 1 / temperature));
    for (double& p : expected) p /= total;
    expect_frequencies({.temperature = temperature}, expected);
  }
}

TEST(DrawToken, TopKKeepsTheLikeliest) { expect_frequencies({.temperature = 1, .top_k = 2}, {0, 4.0 / 7, 0, 3.0 / 7, 0}); }

TEST(DrawToken, TopPKeepsTheFewestThatReachIt) {
  expect_frequencies({.temperature = 1, .top_p = 0.6}, {0, 4.0 / 7, 0, 3.0 / 7, 0});
  expect_frequencies({.temperature = 1, .top_p = 0.75}, {0, 40.0 / 85, 0, 30.0 / 85, 15.0 / 85});
  expect_frequencies({.temperature = 1, .top_p = 1e-9}, {0, 1, 0, 0, 0});
}

TEST(DrawToken, TopPIsOfWhatTopKLeaves) { expect_frequencies({.temperature = 1, .top_k = 3, .top_p = 0.8}, {0, 4.0 / 7, 0, 3.0 / 7, 0}); }

TEST(DrawToken, TemperatureZeroAndTopOneAreGreedy) {
  expect_frequencies({.temperature = 0, .top_k = 4, .top_p = 0.9}, {0, 1, 0, 0, 0});
  expect_frequencies({.temperature = 5, .top_k = 1}, {0, 1, 0, 0, 0});
}

TEST(DrawToken, OfEqualsTheFirstIsTheLikelier) {
  const std::vector<float> equals{1, 2, 2, 2};
  EXPECT_EQ(draw_token(equals, {}, 0, 0), 1);
  for (int64_t position = 0; position < 50; ++position) EXPECT_EQ(draw_token(equals, {.temperature = 1, .top_k = 1}, 0, position), 1);
}

TEST(DrawToken, DependsOnSeedSampleAndPositionOnly) {
  const std::vector<float> flat(1 << 20, 0.5f);
  const Sampling sampling{.temperature = 1, .seed = 9};
  const auto token = draw_token(flat, sampling, 1, 2);
  EXPECT_EQ(draw_token(flat, sampling, 1, 2), token);
  EXPECT_NE(draw_token(flat, {.temperature = 1, .seed = 10}, 1, 2), token);
  EXPECT_NE(draw_token(flat, sampling, 2, 2), token);
  EXPECT_NE(draw_token(flat, sampling, 1, 3), token);
}

TEST(DrawToken, HugeLogitsAtALowTemperatureAreStillADistribution) {
  const std::vector<float> huge{-3e38f, 3e38f, 1e38f};
  EXPECT_EQ(draw_token(huge, {.temperature = 1e-3}, 0, 0), 1);
}

TEST(DrawToken, RefusesWhatIsNotFiniteAndSamplingOutOfRange) {
  const auto kind_of = [](auto&& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::bug;
  };
  const std::vector<float> broken{0, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(kind_of([&] { draw_token(broken, {}, 0, 0); }), ErrorKind::non_finite);
  for (const Sampling& sampling : {Sampling{.temperature = -1}, Sampling{.temperature = NAN}, Sampling{.temperature = INFINITY}, Sampling{.top_k = -1},
                                   Sampling{.top_p = 0}, Sampling{.top_p = 1.01}, Sampling{.top_p = NAN}}) {
    EXPECT_EQ(kind_of([&] { sampling.validate(); }), ErrorKind::usage);
  }
}

}  // namespace
}  // namespace zerorun::testing
