#include "core/data/permutation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

TEST(Permutation, IsABijectionOfEverySize) {
  for (int64_t n : {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1000, 4096, 4097}) {
    std::set<int64_t> seen;
    for (int64_t k = 0; k < n; ++k) seen.insert(permute(42, 3, k, n));
    ASSERT_EQ(static_cast<int64_t>(seen.size()), n);
    ASSERT_EQ(*seen.begin(), 0);
    ASSERT_EQ(*seen.rbegin(), n - 1);
  }
}

TEST(Permutation, DiffersBySeedAndEpoch) {
  const auto order = [](uint64_t seed, int64_t epoch) {
    std::vector<int64_t> order;
    for (int64_t k = 0; k < 100; ++k) order.push_back(permute(seed, epoch, k, 100));
    return order;
  };
  EXPECT_EQ(order(1, 0), order(1, 0));
  EXPECT_NE(order(1, 0), order(2, 0));
  EXPECT_NE(order(1, 0), order(1, 1));
}

// Every element comes equally often to every place, and neighbours part: a shift or a reversal would not do.
TEST(Permutation, Shuffles) {
  constexpr int64_t n = 20, epochs = 4000;
  std::vector<double> hits(n * n);
  int64_t neighbours = 0;
  for (int64_t epoch = 0; epoch < epochs; ++epoch)
    for (int64_t k = 0; k < n; ++k) {
      const int64_t to = permute(7, epoch, k, n);
      ++hits[static_cast<size_t>(k * n + to)];
      neighbours += k > 0 && std::abs(to - permute(7, epoch, k - 1, n)) == 1;
    }
  double chi_squared = 0;
  for (const double count : hits) chi_squared += (count - epochs / n) * (count - epochs / n) / (epochs / n);
  EXPECT_NEAR(chi_squared, 361, 4 * std::sqrt(2.0 * 361));  // (n-1)^2 degrees of freedom
  EXPECT_NEAR(static_cast<double>(neighbours) / epochs, 2.0 * (n - 1) / n, 0.1);
}

TEST(Permutation, ReachesHugeSizes) {
  const int64_t n = int64_t{1} << 62;
  const int64_t to = permute(1, 0, n - 1, n);
  EXPECT_TRUE(0 <= to && to < n);
  EXPECT_THROW(permute(1, 0, 5, 5), Error);
}

}  // namespace
}  // namespace zerorun
