#include "launcher/latency.h"

#include <gmock/gmock.h>

#include "core/error.h"

namespace zerorun {
namespace {

// n, n - 1, ... 1
std::vector<double> countdown(int n) {
  std::vector<double> values;
  for (int i = n; i >= 1; --i) values.push_back(i);
  return values;
}

TEST(Percentile, IsTheSmallestValueThatThatShareDoesNotExceed) {
  for (const auto& [share, expected] : {std::pair(0.5, 50.0), std::pair(0.9, 90.0), std::pair(0.95, 95.0), std::pair(0.99, 99.0), std::pair(1.0, 100.0)}) {
    EXPECT_EQ(percentile(countdown(100), share), expected);
  }
  EXPECT_EQ(percentile({3, 1}, 0.5), 1);
  EXPECT_EQ(percentile({3, 1}, 0.51), 3);
  EXPECT_EQ(percentile({7}, 0.01), 7);
  EXPECT_THROW(percentile({}, 0.5), Error);
  EXPECT_THROW(percentile({1}, 0), Error);
}

// By whole numbers: rounding of share x count must not reach the next rank.
TEST(Percentile, IsTheNearestRankForEveryCount) {
  for (const int count : {1, 2, 3, 10, 20, 40, 49, 100, 200, 490, 1000}) {
    for (const int percent : {50, 90, 95, 99}) {
      EXPECT_EQ(percentile(countdown(count), percent / 100.0), (percent * count + 99) / 100) << percent << " % of " << count;
    }
  }
}

TEST(Latencies, AreOfAllThatWasMeasured) {
  const auto all = latencies_of({4, 2, 5, 4, 4, 5, 7, 9});
  EXPECT_EQ(all.n, 8);
  EXPECT_EQ(all.total, 40);
  EXPECT_EQ(all.mean, 5);
  EXPECT_EQ(all.deviation, 2) << "the root of 32 / 8";
  EXPECT_EQ(all.deviation_percent(), 40);
  EXPECT_EQ(all.p50, 4) << "of 2 4 4 4 5 5 7 9 the fourth";
  EXPECT_EQ(all.p90, 9);
  const auto many = latencies_of(countdown(200));
  EXPECT_THAT((std::vector{many.p50, many.p90, many.p95, many.p99}), testing::ElementsAre(100, 180, 190, 198));
}

TEST(Latencies, OfOneValueAreThatValueAndDoNotSpread) {
  const auto one = latencies_of({0.25});
  EXPECT_EQ(one.n, 1);
  EXPECT_THAT((std::vector{one.total, one.mean, one.p50, one.p90, one.p95, one.p99}), testing::Each(0.25));
  EXPECT_EQ(one.deviation, 0);
}

TEST(Latencies, OfEqualValuesDoNotSpread) {
  const auto ties = latencies_of(std::vector<double>(7, 0.5));
  EXPECT_THAT((std::vector{ties.mean, ties.p50, ties.p90, ties.p95, ties.p99}), testing::Each(0.5));
  EXPECT_EQ(ties.deviation_percent(), 0);
}

TEST(Latencies, OfNoValuesAreNone) {
  const auto none = latencies_of({});
  EXPECT_EQ(none.n, 0);
  EXPECT_EQ(none.total, 0);
  EXPECT_EQ(none.deviation_percent(), 0);
}

}  // namespace
}  // namespace zerorun
