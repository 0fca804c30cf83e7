// Every form of the flat kernels that this machine can run gives the bits of the baseline, which a plain loop gives (optimizer_test.cpp).
#include "zero/flat_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/ops/kernels/number.h"

namespace zerorun::kernels {
namespace {

using Limits = std::numeric_limits<float>;

// What rounding, widening and dividing could treat differently: one of each in a stretch of random values.
const std::vector<float> kEdges = {0.0f, -0.0f, Limits::denorm_min(), -3 * Limits::denorm_min(), Limits::min(), Limits::max(), Limits::lowest(),
                                   Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), 1.0f + 1.0f / 256, 65520.0f, 1e-7f};

std::vector<float> random_values(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> magnitude(-30, 10);
  std::vector<float> values(static_cast<size_t>(count));
  for (auto& value : values) value = normal(generator) * std::exp2(magnitude(generator));
  return values;
}

// Every edge in `values`, from element `at` on, a stride apart.
void put_edges(std::vector<float>& values, size_t at) {
  for (const float edge : kEdges) {
    if (at < values.size()) values[at] = edge;
    at += 5;
  }
}

struct Arrays {
  std::vector<float> parameter, gradient, m, v;
  std::vector<uint16_t> narrow_gradient, rounded;

  explicit Arrays(int64_t count, at::ScalarType dtype)
      : parameter(random_values(count, 1)), gradient(random_values(count, 2)), m(random_values(count, 3)), v(random_values(count, 4)),
        narrow_gradient(static_cast<size_t>(count)), rounded(static_cast<size_t>(count)) {
    for (auto& value : v) value = std::abs(value);
    put_edges(parameter, 0);
    put_edges(gradient, 1);
    put_edges(m, 2);
    put_edges(v, 3);
    if (dtype != at::kFloat) ops::narrow_row(dtype, gradient.data(), narrow_gradient.data(), count);
  }

  bool operator==(const Arrays& other) const {
    return same(parameter, other.parameter) && same(m, other.m) && same(v, other.v) && rounded == other.rounded;
  }

  static bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) { return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y); });
  }
};

constexpr AdamWFactors kFactors{0.3f, 0.998f, 0.8f, 0.2f, 0.97f, 0.03f, 1e-2f, 1.7f, 1e-7f};

// [begin, end) of arrays that are longer: what lies outside must stay.
Arrays adamw_of(InstructionSet set, at::ScalarType gradient, at::ScalarType rounded, int64_t begin, int64_t end) {
  const int64_t count = end + 7;
  Arrays arrays(count, gradient);
  FlatSlice slice{.parameter = arrays.parameter.data(), .gradient = {}, .rounded = {}, .state = {arrays.m.data(), arrays.v.data()}, .count = count};
  slice.gradient = {arrays.gradient.data(), count, at::kFloat};
  if (gradient != at::kFloat) slice.gradient = {arrays.narrow_gradient.data(), count, gradient};
  if (rounded != at::kFloat) slice.rounded = {arrays.rounded.data(), count, rounded};
  for (int step = 0; step < 2; ++step) flat_kernels(set).adamw(slice, begin, end, kFactors);
  return arrays;
}

std::vector<InstructionSet> sets_of_machine() {
  std::vector<InstructionSet> sets;
  for (const auto set : {InstructionSet::avx2, InstructionSet::avx512}) {
    if (machine_has(set)) sets.push_back(set);
  }
  return sets;
}

TEST(FlatKernels, AdamWGivesTheSameBitsWithEveryInstructionSet) {
  for (const auto gradient : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto rounded : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const int64_t begin : {0, 1, 13}) {
        for (const int64_t count : {0, 1, 7, 31, 32, 33, 64, 100, 1000}) {
          const auto baseline = adamw_of(InstructionSet::baseline, gradient, rounded, begin, begin + count);
          for (const auto set : sets_of_machine()) {
            EXPECT_TRUE(adamw_of(set, gradient, rounded, begin, begin + count) == baseline)
                << "set " << static_cast<int>(set) << ", gradient " << gradient << ", rounded " << rounded << ", " << count << " from " << begin;
          }
        }
      }
    }
  }
}

TEST(FlatKernels, AdamWTouchesItsElementsAlone) {
  for (const auto set : {InstructionSet::baseline, InstructionSet::avx2, InstructionSet::avx512}) {
    if (!machine_has(set)) continue;
    const auto updated = adamw_of(set, at::kBFloat16, at::kBFloat16, 13, 113);
    const Arrays before(120, at::kBFloat16);
    const auto outside = [](int64_t i) { return i < 13 || i >= 113; };
    for (int64_t i = 0; i < 120; ++i) {
      if (!outside(i)) continue;
      EXPECT_EQ(std::bit_cast<uint32_t>(updated.parameter[i]), std::bit_cast<uint32_t>(before.parameter[i])) << i;
      EXPECT_EQ(std::bit_cast<uint32_t>(updated.m[i]), std::bit_cast<uint32_t>(before.m[i])) << i;
      EXPECT_EQ(std::bit_cast<uint32_t>(updated.v[i]), std::bit_cast<uint32_t>(before.v[i])) << i;
      EXPECT_EQ(updated.rounded[i], before.rounded[i]) << i;
    }
  }
}

// One pass gives what widening, updating in fp32 and rounding give one after the other.
TEST(FlatKernels, AdamWWidensAndRoundsAsSeparatePassesDo) {
  constexpr int64_t kCount = 1000;
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    Arrays apart(kCount, dtype);
    ops::widen_row(dtype, apart.narrow_gradient.data(), apart.gradient.data(), kCount);
    const FlatSlice slice{.parameter = apart.parameter.data(), .gradient = {apart.gradient.data(), kCount, at::kFloat}, .rounded = {},
                          .state = {apart.m.data(), apart.v.data()}, .count = kCount};
    for (int step = 0; step < 2; ++step) flat_kernels().adamw(slice, 0, kCount - 7, kFactors);
    ops::narrow_row(dtype, apart.parameter.data(), apart.rounded.data(), kCount - 7);
    EXPECT_TRUE(adamw_of(InstructionSet::baseline, dtype, dtype, 0, kCount - 7) == apart) << dtype;
  }
}

TEST(FlatKernels, OthersGiveTheSameBitsWithEveryInstructionSet) {
  constexpr SgdFactors kSgd{0.3f, 0.1f, 1e-2f, 0.9f};
  const auto run = [&](InstructionSet set, int64_t count, int64_t begin) {
    Arrays arrays(count + begin, at::kFloat);
    float *p = arrays.parameter.data() + begin, *g = arrays.gradient.data() + begin, *m = arrays.m.data() + begin, *v = arrays.v.data() + begin;
    const auto& kernels = flat_kernels(set);
    kernels.sgd(p, g, count, kSgd);
    kernels.sgd_momentum(p, g, m, count, kSgd);
    kernels.add(v, g, count);
    return arrays;
  };
  for (const auto set : sets_of_machine()) {
    for (const int64_t count : {0, 1, 15, 64, 67, 1001}) {
      for (const int64_t begin : {0, 3}) {
        EXPECT_TRUE(run(set, count, begin) == run(InstructionSet::baseline, count, begin)) << "set " << static_cast<int>(set) << ", " << count;
        const auto values = random_values(count + begin, 5);
        EXPECT_EQ(flat_kernels(set).sum_of_squares(values.data() + begin, count),
                  flat_kernels(InstructionSet::baseline).sum_of_squares(values.data() + begin, count));
      }
    }
  }
}

}  // namespace
}  // namespace zerorun::kernels
