#include "zero/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "core/threads.h"
#include "zero/flat_span.h"
#include "zero/gradient_norm.h"

namespace zerorun {
namespace {

std::vector<float> random_values(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (auto& value : values) value = normal(generator);
  return values;
}

Span span_of(std::vector<float>& values) { return {values.data(), static_cast<int64_t>(values.size()), at::kFloat}; }

struct State {
  std::vector<float> parameter, gradient, first, second;

  explicit State(int64_t count)
      : parameter(random_values(count, 1)), gradient(random_values(count, 2)), first(count, 0.0f), second(count, 0.0f) {}

  FlatSlice slice(int64_t begin, int64_t end, int64_t decay_end) {
    return {parameter.data() + begin, {gradient.data() + begin, end - begin, at::kFloat}, {}, {first.data() + begin, second.data() + begin}, end - begin,
            std::clamp<int64_t>(decay_end - begin, 0, end - begin)};
  }
};

// The whole at once and any cut give the same bits: no tail differs from the body.
TEST(Optimizer, WhereASliceBeginsChangesNoBit) {
  constexpr int64_t kCount = 1000, kDecayEnd = 333;
  for (const auto& optimizer : {make_adamw({}), make_sgd({.momentum = 0.9, .weight_decay = 0.1}), make_sgd({.weight_decay = 0.1})}) {
    State whole(kCount);
    for (int64_t step = 1; step <= 3; ++step) optimizer->update(whole.slice(0, kCount, kDecayEnd), {step, 1e-2, 0.7});
    for (const int64_t cut : {1, 17, 64, 333, 999}) {
      State cut_state(kCount);
      for (int64_t step = 1; step <= 3; ++step) {
        optimizer->update(cut_state.slice(0, cut, kDecayEnd), {step, 1e-2, 0.7});
        optimizer->update(cut_state.slice(cut, kCount, kDecayEnd), {step, 1e-2, 0.7});
      }
      EXPECT_EQ(std::memcmp(whole.parameter.data(), cut_state.parameter.data(), kCount * sizeof(float)), 0) << "cut at " << cut;
    }
  }
}

TEST(Optimizer, AdamWIsTorchs) {
  constexpr int64_t kCount = 4096;
  const auto options = at::TensorOptions().dtype(at::kFloat);
  State ours(kCount);
  auto parameter = at::from_blob(random_values(kCount, 1).data(), {kCount}, options).clone();
  auto gradient = at::from_blob(random_values(kCount, 2).data(), {kCount}, options).clone();
  auto first = at::zeros({kCount}), second = at::zeros({kCount});
  const auto optimizer = make_adamw({.beta1 = 0.8, .beta2 = 0.9, .eps = 1e-6, .weight_decay = 0.2});
  for (int64_t step = 1; step <= 5; ++step) {
    optimizer->update(ours.slice(0, kCount, kCount), {step, 1e-2, 1});
    at::_fused_adamw_({parameter}, {gradient}, {first}, {second}, {}, {at::full({}, static_cast<double>(step), at::kFloat)}, 1e-2, 0.8, 0.9, 0.2,
                      1e-6, false, false);
  }
  const auto* reference = parameter.const_data_ptr<float>();
  for (int64_t i = 0; i < kCount; ++i) ASSERT_NEAR(ours.parameter[i], reference[i], 1e-6) << i;
}

// Element by element, for the baseline instruction set: what every clone of the kernels must give to the bit.
void adamw_by_hand(State& state, int64_t decay_end, const AdamWOptions& o, const UpdateArguments& a) {
  const double step = static_cast<double>(a.step);
  const auto step_size = static_cast<float>(a.lr / (1 - std::pow(o.beta1, step)));
  const auto correction = static_cast<float>(1 / std::sqrt(1 - std::pow(o.beta2, step)));
  const auto beta1 = static_cast<float>(o.beta1), beta2 = static_cast<float>(o.beta2), scale = static_cast<float>(a.gradient_scale);
  for (size_t i = 0; i < state.parameter.size(); ++i) {
    const float g = state.gradient[i] * scale;
    state.first[i] = beta1 * state.first[i] + static_cast<float>(1 - o.beta1) * g;
    state.second[i] = beta2 * state.second[i] + static_cast<float>(1 - o.beta2) * g * g;
    const float denominator = std::sqrt(state.second[i]) * correction + static_cast<float>(o.eps);
    const auto decay = static_cast<float>(static_cast<int64_t>(i) < decay_end ? 1 - a.lr * o.weight_decay : 1);
    state.parameter[i] = state.parameter[i] * decay - step_size * (state.first[i] / denominator);
  }
}

void sgd_by_hand(State& state, int64_t decay_end, const SgdOptions& o, const UpdateArguments& a) {
  for (size_t i = 0; i < state.parameter.size(); ++i) {
    const auto decay = static_cast<float>(static_cast<int64_t>(i) < decay_end ? o.weight_decay : 0);
    float g = state.gradient[i] * static_cast<float>(a.gradient_scale) + decay * state.parameter[i];
    if (o.momentum != 0) g = state.first[i] = static_cast<float>(o.momentum) * state.first[i] + g;
    state.parameter[i] -= static_cast<float>(a.lr) * g;
  }
}

TEST(Optimizer, AnyThreadsAndInstructionsGiveTheBitsOfAPlainLoop) {
  constexpr int64_t kCount = 100'003, kDecayEnd = 70'001;
  const AdamWOptions adamw{.beta1 = 0.8, .beta2 = 0.97, .eps = 1e-7, .weight_decay = 0.2};
  const SgdOptions plain{.weight_decay = 0.2}, momentum{.momentum = 0.9, .weight_decay = 0.2};
  State by_hand[3] = {State(kCount), State(kCount), State(kCount)};
  for (int64_t step = 1; step <= 3; ++step) {
    const UpdateArguments arguments{step, 1e-2, 0.3};
    adamw_by_hand(by_hand[0], kDecayEnd, adamw, arguments);
    sgd_by_hand(by_hand[1], kDecayEnd, plain, arguments);
    sgd_by_hand(by_hand[2], kDecayEnd, momentum, arguments);
  }
  for (const int threads : {1, 3}) {
    set_compute_threads(threads);
    int which = 0;
    for (const auto& optimizer : {make_adamw(adamw), make_sgd(plain), make_sgd(momentum)}) {
      State state(kCount);
      for (int64_t step = 1; step <= 3; ++step) optimizer->update(state.slice(0, kCount, kDecayEnd), {step, 1e-2, 0.3});
      EXPECT_EQ(state.parameter, by_hand[which].parameter) << "optimizer " << which << ", " << threads << " threads";
      ++which;
    }
  }
  set_compute_threads(1);
}

TEST(Optimizer, OnlyTheDecayPrefixDecays) {
  for (const auto& optimizer : {make_adamw({.weight_decay = 0.5}), make_sgd({.weight_decay = 0.5})}) {
    State state(128);
    std::fill(state.gradient.begin(), state.gradient.end(), 0.0f);
    const auto before = state.parameter;
    optimizer->update(state.slice(0, 128, 64), {1, 0.1, 1});
    for (int64_t i = 0; i < 128; ++i) EXPECT_FLOAT_EQ(state.parameter[i], i < 64 ? before[i] * 0.95f : before[i]) << i;
  }
}

TEST(Optimizer, SgdWithMomentumFollowsItsFormula) {
  State state(64);
  const double p = state.parameter[5], g = state.gradient[5];
  const auto optimizer = make_sgd({.momentum = 0.9});
  optimizer->update(state.slice(0, 64, 0), {1, 0.1, 2});
  optimizer->update(state.slice(0, 64, 0), {2, 0.1, 2});
  EXPECT_NEAR(state.parameter[5], p - 0.1 * 2 * g - 0.1 * (0.9 * 2 * g + 2 * g), 1e-5);
}

TEST(GradientNorm, IsTheSumOfSquaresInDouble) {
  auto values = random_values(100'003, 3);
  double expected = 0;
  for (const float value : values) expected += static_cast<double>(value) * value;
  EXPECT_NEAR(sum_of_squares(span_of(values)), expected, 1e-9 * expected);
}

TEST(GradientNorm, HasTheSameBitsForAnyThreads) {
  auto values = random_values(100'003, 3);
  const double one = sum_of_squares(span_of(values));
  set_compute_threads(3);
  EXPECT_EQ(sum_of_squares(span_of(values)), one);
  set_compute_threads(1);
}

// Parts that end anywhere, some larger than a block.
TEST(GradientNorm, HasTheSameBitsInParts) {
  auto values = random_values(100'003, 3);
  const Span whole = span_of(values);
  for (const int threads : {1, 3}) {
    set_compute_threads(threads);
    SumOfSquares squares;
    squares.expect(whole.count);
    for (int64_t begin = 0, length = 1; begin < whole.count; begin += length, length = length * 3 + 1) squares.append(whole.part(begin, length));
    squares.close();
    EXPECT_EQ(squares.total(), sum_of_squares(whole));
  }
  set_compute_threads(1);
}

TEST(GradientNorm, ClipsAsTorchDoes) {
  EXPECT_DOUBLE_EQ(clip_factor(2, 1), 1 / (2 + 1e-6));
  EXPECT_DOUBLE_EQ(clip_factor(0.5, 1), 1);
  EXPECT_DOUBLE_EQ(clip_factor(100, 0), 1);
}

}  // namespace
}  // namespace zerorun
