#include "comm/rank_sum.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

template <typename T>
T sum_of(const std::vector<T>& values) {
  std::vector<const void*> parts;
  for (const T& value : values) parts.push_back(&value);
  T sum{};
  rank_sum(parts, {&sum, 1, c10::CppTypeToScalarType<T>::value});
  return sum;
}

TEST(RankSum, AddsInRankOrderInSinglePrecision) {
  EXPECT_EQ(sum_of<float>({1e8f, 1.0f, -1e8f}), 0.0f);
  EXPECT_EQ(sum_of<float>({1e8f, -1e8f, 1.0f}), 1.0f);
}

TEST(RankSum, RoundsHalvesOnceAtTheEnd) {
  // Rounded after every addition 256 + 1 would stay 256 in bfloat16, and 2048 + 1 would stay 2048 in half.
  EXPECT_EQ(static_cast<float>(sum_of<c10::BFloat16>({256.0f, 1.0f, 1.0f})), 258.0f);
  EXPECT_EQ(static_cast<float>(sum_of<c10::Half>({2048.0f, 1.0f, 1.0f})), 2050.0f);
}

TEST(RankSum, RoundsToNearestEven) {
  EXPECT_EQ(static_cast<float>(sum_of<c10::BFloat16>({256.0f, 1.0f})), 256.0f);
  EXPECT_EQ(static_cast<float>(sum_of<c10::BFloat16>({256.0f, 1.0f, 2.0f})), 260.0f);
}

TEST(RankSum, AddsDoublesInDoublePrecision) { EXPECT_EQ(sum_of<double>({1.0, 1e-12}), 1.0 + 1e-12); }

TEST(RankSum, KeepsWhatIsNotFinite) {
  EXPECT_TRUE(std::isnan(sum_of<float>({1.0f, NAN, 1.0f})));
  EXPECT_TRUE(std::isnan(static_cast<float>(sum_of<c10::BFloat16>({1.0f, NAN}))));
  EXPECT_TRUE(std::isinf(sum_of<float>({INFINITY, 1.0f})));
  EXPECT_TRUE(std::isinf(static_cast<float>(sum_of<c10::Half>({60000.0f, 60000.0f}))));
}

TEST(RankSum, MayWriteOverAnyPartAndGoesBeyondABlock) {
  const int64_t count = 2 * 1024 + 7;
  std::vector<float> first(count), second(count), third(count);
  for (int64_t i = 0; i < count; ++i) {
    first[i] = 1;
    second[i] = static_cast<float>(i);
    third[i] = 2;
  }
  rank_sum(std::vector<const void*>{first.data(), second.data(), third.data()}, {second.data(), count, at::kFloat});
  for (int64_t i = 0; i < count; ++i) ASSERT_EQ(second[i], static_cast<float>(i) + 3);
}

TEST(RankSum, HasNoSumOfIntegers) {
  EXPECT_FALSE(can_rank_sum(at::kLong));
  int64_t value = 1;
  EXPECT_THROW(rank_sum(std::vector<const void*>{&value}, {&value, 1, at::kLong}), Error);
}

// What is written past the caches begins and ends anywhere.
TEST(RankSum, LongSumsAreTheShortOnesOneAfterTheOther) {
  const int64_t count = (1 << 19) + 1077;
  std::vector<c10::BFloat16> parts[3];
  for (int part = 0; part < 3; ++part) {
    for (int64_t i = 0; i < count + 1; ++i) parts[part].push_back(static_cast<float>((i * (part + 3)) % 1013) / 7.0f);
  }
  for (const size_t ranks : {2u, 3u}) {
    const auto from = [&](int64_t begin) {
      std::vector<const void*> pointers;
      for (size_t r = 0; r < ranks; ++r) pointers.push_back(parts[r].data() + begin);
      return pointers;
    };
    std::vector<c10::BFloat16> whole(static_cast<size_t>(count)), pieces(static_cast<size_t>(count));
    rank_sum(from(1), {whole.data(), count, at::kBFloat16});
    for (int64_t begin = 0; begin < count; begin += 1001) {
      rank_sum(from(1 + begin), {pieces.data() + begin, std::min<int64_t>(1001, count - begin), at::kBFloat16});
    }
    for (int64_t i = 0; i < count; ++i) ASSERT_EQ(whole[i].x, pieces[i].x) << i;
  }
}

}  // namespace
}  // namespace zerorun
