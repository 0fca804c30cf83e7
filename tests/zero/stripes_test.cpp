#include "zero/stripes.h"

#include <gtest/gtest.h>

namespace zerorun {
namespace {

// 2500 elements in stripes of 1000: parts of 2, 4 and 4 bytes, each rounded up to 4096.
TEST(Stripes, LayPartsSideBySideInStripes) {
  const Stripes stripes(2500, 1000, {2, 4, 4});
  EXPECT_EQ(stripes.size(), 3);
  EXPECT_EQ(stripes.begin(2), 2000);
  EXPECT_EQ(stripes.count(1), 1000);
  EXPECT_EQ(stripes.count(2), 500);
  EXPECT_EQ(stripes.bytes(), 9 * 4096) << "1000 elements: 2000, 4000, 4000 bytes";
  const auto piece = stripes.piece(8192, 1, 1, 3);
  EXPECT_EQ(piece.offset, 8192 + 3 * 4096 + 4096);
  EXPECT_EQ(piece.bytes, 2 * 4096);
  EXPECT_EQ(stripes.range(2, 0, 3).end, 3 * 4096) << "500 elements: 1000, 2000, 2000 bytes";
}

TEST(Stripes, OneThatHoldsAllIsTheWhole) {
  const Stripes stripes(100, 1 << 18, {4});
  EXPECT_EQ(stripes.size(), 1);
  EXPECT_EQ(stripes.count(0), 100);
  EXPECT_EQ(stripes.bytes(), 4096);
}

}  // namespace
}  // namespace zerorun
