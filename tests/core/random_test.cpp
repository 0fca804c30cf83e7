#include "core/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

using Words = std::array<uint32_t, 4>;

std::vector<float> draw(int64_t first, int64_t count, uint64_t seed = 42, uint64_t stream = 7, float stddev = 1.0f) {
  std::vector<float> values(static_cast<size_t>(count));
  fill_normal(values.data(), first, count, seed, stream, stddev);
  return values;
}

TEST(Philox, GivesThePublishedVectors) {
  constexpr uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32_10({ones, ones, ones, ones}, {ones, ones}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Stream, IsFnv1aOfTheName) {
  EXPECT_EQ(stream_of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(stream_of("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(stream_of("foobar"), 0x85944171f73967e8u);
}

TEST(NormalQuantile, AgreesWithKnownValues) {
  const struct {
    double p, quantile;
  } known[] = {{0x1p-33, -6.337957754553789}, {1e-9, -5.9978070150076865}, {1e-6, -4.753424308822899},
               {0.001, -3.090232306167813},   {0.02, -2.0537489106318225}, {0.074, -1.4466320671589785},
               {0.1, -1.2815515655446008},    {0.3, -0.5244005127080407},  {0.5, 0.0},
               {0.6, 0.2533471031357998},     {0.925, 1.439531470938456},  {0.9250001, 1.4395321773759004},
               {0.975, 1.9599639845400536},   {0.999, 3.090232306167813},  {1 - 0x1p-33, 6.337957754553789}};
  for (const auto& [p, quantile] : known) EXPECT_NEAR(normal_quantile(p), quantile, 1e-14) << "p = " << p;
}

// Element e takes word e % 4 of block e / 4; the counter is {block, stream}, the key the seed.
TEST(FillNormal, DrawsElementFromItsWordOfItsBlock) {
  const uint64_t seed = 0x123456789abcdef0, stream = 0x0fedcba987654321;
  for (const int64_t element : {int64_t{0}, int64_t{6}, int64_t{4} * 0x100000005 + 3}) {
    const auto block = static_cast<uint64_t>(element) / 4;
    const Words words = philox4x32_10({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0x87654321, 0x0fedcba9},
                                      {0x9abcdef0, 0x12345678});
    const double uniform = (words[static_cast<size_t>(element) % 4] + 0.5) / 4294967296.0;
    EXPECT_EQ(draw(element, 1, seed, stream, 0.02f)[0], static_cast<float>(normal_quantile(uniform) * 0.02f)) << element;
  }
}

// What is drawn many at a time is what one at a time gives, in the middle and in both tails.
TEST(FillNormal, GivesTheQuantileOfEachWord) {
  const int64_t first = 1'000'003, count = 200'000;
  const auto values = draw(first, count, 42, 7, 0.02f);
  for (int64_t i = 0; i < count; ++i) {
    const auto element = static_cast<uint64_t>(first + i);
    const Words words = philox4x32_10({static_cast<uint32_t>(element / 4), 0, 7, 0}, {42, 0});
    ASSERT_EQ(values[static_cast<size_t>(i)], static_cast<float>(normal_quantile((words[element % 4] + 0.5) / 4294967296.0) * 0.02f)) << i;
  }
}

// Frozen: another compiler, library or machine must give these bits, or models differ between machines.
TEST(FillNormal, GivesTheSameBitsEverywhere) {
  EXPECT_EQ(draw(0, 6, 42, stream_of("wte.weight"), 0.02f), (std::vector<float>{0x1.9413e8p-7f, -0x1.10390cp-8f, 0x1.165358p-5f,
                                                                                -0x1.9495fap-7f, 0x1.bb877ap-8f, -0x1.40dfp-9f}));
}

TEST(FillNormal, SliceEqualsTheSameRangeOfTheWhole) {
  const std::vector<float> whole = draw(0, 50);
  for (int64_t first = 0; first <= 50; ++first)
    for (int64_t count = 0; first + count <= 50; ++count)
      ASSERT_EQ(draw(first, count), std::vector<float>(whole.begin() + first, whole.begin() + first + count))
          << first << " + " << count;
}

TEST(FillNormal, SeedsAndStreamsDiffer) {
  EXPECT_NE(draw(0, 8, 1, 7), draw(0, 8, 2, 7));
  EXPECT_NE(draw(0, 8, 1, 7), draw(0, 8, 1, 8));
  EXPECT_NE(draw(0, 8, uint64_t{1} << 32, 7), draw(0, 8, 0, 7));
}

TEST(FillNormal, HasTheMomentsOfANormal) {
  const int64_t count = 1000000;
  double sum = 0, squares = 0, cubes = 0, fourths = 0;
  for (const double value : draw(0, count, 42, 7, 2.0f)) {
    sum += value;
    squares += value * value;
    cubes += value * value * value;
    fourths += value * value * value * value;
  }
  // Within 4 standard errors of N(0, 4): 0, 4, 0, 48.
  EXPECT_NEAR(sum / count, 0, 4 * 2e-3);
  EXPECT_NEAR(squares / count, 4, 4 * 4 * std::sqrt(2.0) * 1e-3);
  EXPECT_NEAR(cubes / count, 0, 4 * 8 * std::sqrt(15.0) * 1e-3);
  EXPECT_NEAR(fourths / count, 48, 4 * 16 * std::sqrt(96.0) * 1e-3);
}

TEST(FillNormal, RefusesNegativeRanges) {
  EXPECT_THROW(draw(-1, 1), Error);
  float value = 0;
  EXPECT_THROW(fill_normal(&value, 0, -1, 1, 1, 1.0f), Error);
}

}  // namespace
}  // namespace zerorun
