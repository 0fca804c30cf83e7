#include "comm/hosts.h"

#include <gtest/gtest.h>

namespace zerorun {
namespace {

TEST(Hosts, AsManyRanksOnEachOneAfterTheOther) {
  const auto hosts = plain_hosts({0, 0, 2, 2, 4, 4});
  ASSERT_TRUE(hosts);
  EXPECT_EQ(hosts->count, 3);
  EXPECT_EQ(hosts->ranks_of_each, 2);
  EXPECT_EQ(hosts->host_of(3), 1);
  EXPECT_EQ(hosts->place_of(3), 1);
}

TEST(Hosts, OneHostIsPlainAndSoIsOneRankOnEach) {
  EXPECT_EQ(plain_hosts({0, 0, 0})->count, 1);
  EXPECT_EQ(plain_hosts({0, 1, 2})->count, 3);
}

TEST(Hosts, OthersAreNot) {
  EXPECT_FALSE(plain_hosts({0, 0, 2}));
  EXPECT_FALSE(plain_hosts({0, 1, 0, 1}));
  EXPECT_FALSE(plain_hosts({}));
}

}  // namespace
}  // namespace zerorun
