#include "zero/flat_span.h"

#include <algorithm>

#include "comm/on_block.h"
#include "tests/gpu/reference.h"
#include "zero/gpu_flat_kernels.h"
#include "zero/gradient_norm.h"

namespace zerorun {
namespace {

using namespace device;

const std::vector<int64_t> kCounts = {1, 2, 7, 8, 63, 64, 65, 255, 256, 257, 4095, 4097, 20'001};

template <typename Number>
Span span_of(std::vector<Number>& values) {
  return {values.data(), static_cast<int64_t>(values.size()), kType<Number>};
}

template <typename Number>
Span span_of(const Buffer<Number>& buffer) {
  return {buffer.data(), buffer.count(), kType<Number>};
}

// Runs body(from, to, count, shift, name).
template <typename Body>
void for_each_pair(Body&& body) {
  for_each_number([&](auto from, const char* a) {
    for_each_number([&](auto to, const char* b) {
      for (const int64_t count : kCounts) {
        for (const int64_t shift : {0, 1}) body(from, to, count, shift, std::string(a) + " to " + b + ", " + std::to_string(count) + ", shift " + std::to_string(shift));
      }
    });
  });
}

TEST(GpuFlatSpan, ConvertsToTheProcessorsBits) {
  for_each_pair([](auto a, auto b, int64_t count, int64_t shift, const std::string& name) {
    auto from = random_values<decltype(a)>(count, 1, 1000);
    std::vector<decltype(b)> to(from.size());
    const Buffer<decltype(a)> of(from, shift);
    const Buffer<decltype(b)> onto(count, shift);
    convert(span_of(from), span_of(to));
    kernels::convert(span_of(of), span_of(onto), GpuStream{});
    expect_same_bits(onto.values(), to, name);
  });
}

TEST(GpuFlatSpan, AddsToTheProcessorsBits) {
  for_each_pair([](auto a, auto b, int64_t count, int64_t shift, const std::string& name) {
    auto part = random_values<decltype(a)>(count, 1);
    auto sum = random_values<decltype(b)>(count, 2);
    const Buffer<decltype(a)> of(part, shift);
    const Buffer<decltype(b)> onto(sum, shift);
    add(span_of(part), span_of(sum));
    kernels::add(span_of(of), span_of(onto), GpuStream{});
    expect_same_bits(onto.values(), sum, name);
  });
}

// Whatever runs first: with every order, what is written before it is read would show.
TEST(GpuFlatSpan, ConvertsWhereItLies) {
  for_each_pair([](auto a, auto b, int64_t count, int64_t shift, const std::string& name) {
    using From = decltype(a);
    using To = decltype(b);
    const auto wider = static_cast<int64_t>(std::max(sizeof(From), sizeof(To)));
    auto from = random_values<From>(count, 1, 100);
    std::vector<To> wanted(from.size());
    convert(span_of(from), span_of(wanted));
    std::vector<unsigned char> image(static_cast<size_t>(count * wider));
    const int64_t begin = sizeof(From) < sizeof(To) ? count * (wider - static_cast<int64_t>(sizeof(From))) : 0;
    std::memcpy(image.data() + begin, from.data(), from.size() * sizeof(From));
    for (const unsigned int seed : {0u, 1u, 2u}) {
      set_order(seed);
      const Buffer<unsigned char> slot(image, 4 * shift);
      kernels::convert_in_place({slot.data() + begin, count, kType<From>}, {slot.data(), count, kType<To>}, GpuStream{});
      const auto bytes = slot.values();
      std::vector<To> got(from.size());
      std::memcpy(got.data(), bytes.data(), got.size() * sizeof(To));
      expect_same_bits(got, wanted, name + ", order " + std::to_string(seed));
    }
    set_order(0);
  });
}

TEST(GpuFlatSpan, SumsOfSquaresAreTheProcessorsToTheBit) {
  for_each_number([](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t count : {0, 1, 7, 8, 9, 255, 256, 257, 1000, 4096, 50'257, 600'001, 1'500'001}) {
      for (const int64_t shift : {0, 1}) {
        auto values = random_values<Number>(count, 1);
        const Buffer<Number> of(values, shift);
        const Buffer<double> blocks((count + kSumBlock - 1) / kSumBlock), total(std::vector<double>{0});
        set_order(static_cast<unsigned int>(shift));
        kernels::sum_of_squares(span_of(of), blocks.data(), total.data(), GpuStream{});
        EXPECT_EQ(total.values()[0], sum_of_squares(span_of(values))) << dtype << ", " << count << ", shift " << shift;
      }
    }
  });
  set_order(0);
}

TEST(GpuFlatSpan, ASumOfSquaresHasWhatIsNotFinite) {
  auto values = random_values<float>(1000, 1);
  const auto of = [&] {
    const Buffer<float> buffer(values);
    const Buffer<double> blocks(4), total(std::vector<double>{0});
    kernels::sum_of_squares(span_of(buffer), blocks.data(), total.data(), GpuStream{});
    return total.values()[0];
  };
  values[999] = INFINITY;
  EXPECT_TRUE(std::isinf(of()));
  values[0] = NAN;
  EXPECT_TRUE(std::isnan(of()));
}

}  // namespace
}  // namespace zerorun
