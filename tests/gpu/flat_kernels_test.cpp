#include <optional>

#include "core/philox.h"
#include "tests/gpu/reference.h"
#include "zero/flat_span.h"
#include "zero/gpu_flat_kernels.h"
#include "zero/optimizer.h"

namespace zerorun::kernels {
namespace {

using namespace device;

const std::vector<int64_t> kCounts = {1, 3, 4, 63, 64, 65, 1000, 4097};
constexpr AdamWFactors kFactors{0.3f, 0.998f, 0.8f, 0.2f, 0.97f, 0.03f, 1e-2f, 1.7f, 1e-7f};

// A slice's arrays on either side.
template <typename Gradient, typename Rounded>
struct Arrays {
  std::vector<float> parameter, m, v;
  std::vector<Gradient> gradient;
  std::vector<Rounded> rounded;

  explicit Arrays(int64_t count)
      : parameter(random_values<float>(count, 1)), m(random_values<float>(count, 2)), v(random_values<float>(count, 3)), gradient(random_values<Gradient>(count, 4)),
        rounded(random_values<Rounded>(count, 5)) {
    for (auto& value : v) value = std::abs(value);
  }

  FlatSlice slice(int64_t decay_count) {
    const auto count = static_cast<int64_t>(parameter.size());
    FlatSlice slice{.parameter = parameter.data(), .gradient = {gradient.data(), count, kType<Gradient>}, .state = {m.data(), v.data()}, .count = count,
                    .decay_count = decay_count};
    if (!std::is_same_v<Rounded, float>) slice.rounded = {rounded.data(), count, kType<Rounded>};
    return slice;
  }
};

template <typename Gradient, typename Rounded>
struct OnDevice {
  Buffer<float> parameter, m, v;
  Buffer<Gradient> gradient;
  Buffer<Rounded> rounded;

  OnDevice(const Arrays<Gradient, Rounded>& from, int64_t shift)
      : parameter(from.parameter, shift), m(from.m, shift), v(from.v, shift), gradient(from.gradient, shift), rounded(from.rounded, shift) {}

  FlatSlice slice(int64_t decay_count) const {
    const int64_t count = parameter.count();
    FlatSlice slice{.parameter = parameter.data(), .gradient = {gradient.data(), count, kType<Gradient>}, .state = {m.data(), v.data()}, .count = count,
                    .decay_count = decay_count};
    if (!std::is_same_v<Rounded, float>) slice.rounded = {rounded.data(), count, kType<Rounded>};
    return slice;
  }

  void expect_same(const Arrays<Gradient, Rounded>& wanted, const std::string& name) const {
    expect_same_bits(parameter.values(), wanted.parameter, name + ": parameter");
    expect_same_bits(m.values(), wanted.m, name + ": m");
    expect_same_bits(v.values(), wanted.v, name + ": v");
    expect_same_bits(rounded.values(), wanted.rounded, name + ": rounded");
  }
};

// Runs body(gradient, rounded, count, decay_count, shift, name).
template <typename Body>
void for_each_slice(Body&& body) {
  for_each_number([&](auto gradient, const char* of_gradient) {
    for_each_number([&](auto rounded, const char* of_rounded) {
      for (const int64_t count : kCounts) {
        for (const int64_t shift : {0, 1}) {
          for (const int64_t decay_count : {int64_t{0}, count / 2 + 1, count}) {
            body(gradient, rounded, count, decay_count, shift,
                 std::string("gradient ") + of_gradient + ", rounded " + of_rounded + ", " + std::to_string(count) + ", shift " + std::to_string(shift));
          }
        }
      }
    });
  });
}

TEST(GpuFlatKernels, AdamWGivesTheProcessorsBits) {
  for_each_slice([](auto gradient, auto rounded, int64_t count, int64_t decay_count, int64_t shift, const std::string& name) {
    Arrays<decltype(gradient), decltype(rounded)> arrays(count);
    const OnDevice on_gpu(arrays, shift);
    auto plain = kFactors;
    plain.decay = 1;
    for (int step = 0; step < 2; ++step) {
      flat_kernels().adamw(arrays.slice(decay_count), 0, decay_count, kFactors);
      flat_kernels().adamw(arrays.slice(decay_count), decay_count, count, plain);
      adamw(on_gpu.slice(decay_count), kFactors, nullptr, {}, GpuStream{});
    }
    on_gpu.expect_same(arrays, name);
  });
}

TEST(GpuFlatKernels, SgdGivesTheOptimizersBits) {
  for (const double momentum : {0.0, 0.9}) {
    const auto optimizer = make_sgd({.momentum = momentum, .weight_decay = 0.1});
    const SgdFactors factors{.gradient_scale = 0.3f, .weight_decay = 0.1f, .lr = 1e-2f, .momentum = static_cast<float>(momentum)};
    for_each_slice([&](auto gradient, auto rounded, int64_t count, int64_t decay_count, int64_t shift, const std::string& name) {
      Arrays<decltype(gradient), decltype(rounded)> arrays(count);
      const OnDevice on_gpu(arrays, shift);
      for (int step = 0; step < 2; ++step) {
        optimizer->update(arrays.slice(decay_count), {.step = 1, .lr = 1e-2, .gradient_scale = 0.3});
        sgd(on_gpu.slice(decay_count), factors, nullptr, GpuStream{});
      }
      on_gpu.expect_same(arrays, name);
    });
  }
}

TEST(GpuFlatKernels, AnUpdateThatIsNotAcceptedWritesNothing) {
  const Arrays<float, BFloat16> arrays(100);
  const OnDevice on_gpu(arrays, 0);
  const Buffer<UpdateControl> control(std::vector<UpdateControl>{{.clip = 0.5f, .accepted = 0}});
  adamw(on_gpu.slice(50), kFactors, control.data(), {}, GpuStream{});
  sgd(on_gpu.slice(50), {1, 0, 1, 0.5f}, control.data(), GpuStream{});
  sgd(on_gpu.slice(50), {1, 0, 1, 0}, control.data(), GpuStream{});
  on_gpu.expect_same(arrays, "refused");
}

TEST(GpuFlatKernels, TheClipFactorMultipliesTheGradient) {
  const Buffer<UpdateControl> control(std::vector<UpdateControl>{{.clip = 0.25f, .accepted = 1}});
  for (const int64_t count : {5, 64}) {
    Arrays<float, BFloat16> arrays(count);
    auto clipped = kFactors;
    clipped.gradient_scale *= 0.25f;
    const OnDevice on_gpu(arrays, 0);
    flat_kernels().adamw(arrays.slice(count), 0, count, clipped);
    adamw(on_gpu.slice(count), kFactors, control.data(), {}, GpuStream{});
    on_gpu.expect_same(arrays, "clipped adamw");

    Arrays<Half, float> others(count);
    const OnDevice others_on_gpu(others, 0);
    make_sgd({.momentum = 0.5, .weight_decay = 0})->update(others.slice(count), {.step = 1, .lr = 1e-2, .gradient_scale = 0.125});
    sgd(others_on_gpu.slice(count), {0.5f, 0, 1e-2f, 0.5f}, control.data(), GpuStream{});
    others_on_gpu.expect_same(others, "clipped sgd");
  }
}

constexpr RandomRounding kRandom{.on = true, .key = {7, 8}, .step = 3, .stream = 9, .first_element = (int64_t{1} << 34) - 10};

// Wherever a slice is cut.
TEST(GpuFlatKernels, RandomRoundingFollowsTheElement) {
  constexpr int64_t kCount = 203;
  Arrays<BFloat16, BFloat16> arrays(kCount);
  flat_kernels().adamw(arrays.slice(kCount), 0, kCount, kFactors);
  for (int64_t i = 0; i < kCount; ++i) {
    const auto element = static_cast<uint64_t>(kRandom.first_element + i);
    const auto words = philox({static_cast<uint32_t>(element / 4), static_cast<uint32_t>(element / 4 >> 32), kRandom.step, kRandom.stream}, kRandom.key);
    arrays.rounded[static_cast<size_t>(i)].x = ops::narrow_to_bf16_at_random(arrays.parameter[static_cast<size_t>(i)], words[element % 4]);
  }
  for (const int64_t cut : {0, 1, 64, 101}) {
    for (const int64_t shift : {0, 1}) {
      const OnDevice on_gpu(Arrays<BFloat16, BFloat16>(kCount), shift);
      const auto part = [&](int64_t begin, int64_t end) {
        auto slice = on_gpu.slice(0);
        slice.parameter += begin;
        slice.gradient = slice.gradient.part(begin, end - begin);
        slice.rounded = slice.rounded.part(begin, end - begin);
        slice.state = {slice.state[0] + begin, slice.state[1] + begin};
        slice.count = slice.decay_count = end - begin;
        auto rounding = kRandom;
        rounding.first_element += begin;
        adamw(slice, kFactors, nullptr, rounding, GpuStream{});
      };
      part(0, cut);
      part(cut, kCount);
      on_gpu.expect_same(arrays, "cut at " + std::to_string(cut));
    }
  }
}

TEST(GpuFlatKernels, RandomRoundingIsRightInTheMean) {
  constexpr int64_t kCount = 40'000;
  constexpr float kValue = 1.0f + 0.3f / 128;  // 0.3 of the way between two numbers of bf16
  auto factors = kFactors;
  factors.step_size = 0;
  factors.decay = 1;
  Arrays<float, BFloat16> arrays(kCount);
  arrays.parameter.assign(kCount, kValue);
  const OnDevice on_gpu(arrays, 0);
  adamw(on_gpu.slice(kCount), factors, nullptr, kRandom, GpuStream{});
  double sum = 0;
  for (const BFloat16 value : on_gpu.rounded.values()) {
    EXPECT_TRUE(value == 1.0f || value == 1.0f + 1.0f / 128);
    sum += static_cast<double>(value) / kCount;
  }
  EXPECT_NEAR(sum, kValue, 0.01 / 128);
}

TEST(GpuFlatKernels, RandomRoundingKeepsWhatIsNoOrdinaryNumber) {
  for (const uint32_t random : {0u, 0x8000u, 0xffffffffu}) {
    EXPECT_EQ(ops::narrow_to_bf16_at_random(INFINITY, random), 0x7f80u);
    EXPECT_EQ(ops::narrow_to_bf16_at_random(-INFINITY, random), 0xff80u);
    EXPECT_EQ(ops::narrow_to_bf16_at_random(-0.0f, random), 0x8000u);
    EXPECT_EQ(ops::narrow_to_bf16_at_random(1.5f, random), ops::narrow_to_bf16(1.5f));
    EXPECT_TRUE(std::isnan(ops::widen_bf16(ops::narrow_to_bf16_at_random(std::bit_cast<float>(0x7fffffffu), random))));
  }
}

}  // namespace
}  // namespace zerorun::kernels
