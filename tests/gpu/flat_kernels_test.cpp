#include <optional>

#include "core/error.h"
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
      adamw(on_gpu.slice(decay_count), kFactors, nullptr, GpuStream{});
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
  adamw(on_gpu.slice(50), kFactors, control.data(), GpuStream{});
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
    adamw(on_gpu.slice(count), kFactors, control.data(), GpuStream{});
    on_gpu.expect_same(arrays, "clipped adamw");

    Arrays<Half, float> others(count);
    const OnDevice others_on_gpu(others, 0);
    make_sgd({.momentum = 0.5, .weight_decay = 0})->update(others.slice(count), {.step = 1, .lr = 1e-2, .gradient_scale = 0.125});
    sgd(others_on_gpu.slice(count), {0.5f, 0, 1e-2f, 0.5f}, control.data(), GpuStream{});
    others_on_gpu.expect_same(others, "clipped sgd");
  }
}

constexpr Rounding kAtRandom{.at_random = true, .key = {7, 8}, .stream = 9, .step = 3, .first_element = (int64_t{1} << 34) - 10};

// The elements of a slice from `begin` to `end`.
FlatSlice part_of(const FlatSlice& whole, int64_t begin, int64_t end) {
  auto part = whole;
  part.parameter += begin;
  part.gradient = whole.gradient.part(begin, end - begin);
  part.rounded = whole.rounded.part(begin, end - begin);
  part.state = {whole.state[0] + begin, whole.state[1] + begin};
  part.count = part.decay_count = end - begin;
  part.rounding = kAtRandom.from(begin);
  return part;
}

// Wherever a slice is cut: the bits of the processor, which has it whole.
TEST(GpuFlatKernels, RoundingAtRandomFollowsTheElement) {
  constexpr int64_t kCount = 203;
  const SgdFactors factors{.gradient_scale = 0.3f, .weight_decay = 0, .lr = 1e-2f, .momentum = 0.5f};
  const auto adam = [](const FlatSlice& slice) { adamw(slice, kFactors, nullptr, GpuStream{}); };
  const auto descent = [&](const FlatSlice& slice) { sgd(slice, factors, nullptr, GpuStream{}); };
  for (const bool with_adam : {true, false}) {
    Arrays<BFloat16, BFloat16> arrays(kCount);
    if (with_adam) {
      flat_kernels().adamw(arrays.slice(kCount), 0, kCount, kFactors);
      flat_kernels().round_at_random(arrays.parameter.data(), kCount, kAtRandom, &arrays.rounded.data()->x);
    } else {
      make_sgd({.momentum = 0.5, .weight_decay = 0})->update(part_of(arrays.slice(kCount), 0, kCount), {.step = 1, .lr = 1e-2, .gradient_scale = 0.3});
    }
    for (const int64_t cut : {0, 1, 64, 101}) {
      for (const int64_t shift : {0, 1}) {
        const OnDevice on_gpu(Arrays<BFloat16, BFloat16>(kCount), shift);
        for (const auto& [begin, end] : {std::pair(int64_t{0}, cut), std::pair(cut, kCount)}) {
          const auto part = part_of(on_gpu.slice(0), begin, end);
          with_adam ? adam(part) : descent(part);
        }
        on_gpu.expect_same(arrays, "cut at " + std::to_string(cut));
      }
    }
  }
}

TEST(GpuFlatKernels, RoundingAtRandomIsOfBf16Alone) {
  Arrays<float, Half> arrays(8);
  const OnDevice on_gpu(arrays, 0);
  auto slice = on_gpu.slice(8);
  slice.rounding = kAtRandom;
  EXPECT_THROW(adamw(slice, kFactors, nullptr, GpuStream{}), Error);
}

}  // namespace
}  // namespace zerorun::kernels
