#include "comm/outstanding.h"

#include <gtest/gtest.h>

#include <memory>

namespace zerorun {
namespace {

using std::chrono::seconds;

// An event that happens when it is told to.
struct Told final : Event::State {
  void wait() override {}
  void finish() override {}
  bool has_happened() const override { return happened; }
  bool happened = false;
};

struct Launched {
  std::shared_ptr<Told> ready = std::make_shared<Told>(), done = std::make_shared<Told>();
};

class OutstandingTest : public testing::Test {
 protected:
  Launched launch(int64_t count) {
    const Launched launched;
    outstanding_.add({Collective::reduce_scatter, at::kFloat, count, Activity("backward of blocks.3")}, Event(launched.ready), Event(launched.done));
    return launched;
  }
  int64_t late_at(int second) {
    const auto late = outstanding_.late(Outstanding::Time(seconds(second)), 60);
    return late ? late->count : 0;
  }

  Outstanding outstanding_;
};

TEST_F(OutstandingTest, ItsTimeRunsFromWhereItCouldStart) {
  const auto launched = launch(8);
  EXPECT_EQ(late_at(0), 0);
  EXPECT_EQ(late_at(1000), 0);  // this rank still computes what it sends
  launched.ready->happened = true;
  EXPECT_EQ(late_at(1001), 0);
  EXPECT_EQ(late_at(1060), 0);
  EXPECT_EQ(late_at(1061), 8);
}

TEST_F(OutstandingTest, WhatIsDoneIsForgottenAndTheNextHasItsOwnTime) {
  const auto first = launch(1), second = launch(2);
  first.ready->happened = second.ready->happened = true;
  EXPECT_EQ(late_at(0), 0);
  first.done->happened = true;
  EXPECT_EQ(late_at(59), 0);
  EXPECT_EQ(late_at(118), 0);
  EXPECT_EQ(late_at(119), 2);
  second.done->happened = true;
  EXPECT_EQ(late_at(500), 0);
  EXPECT_TRUE(outstanding_.empty());
}

TEST_F(OutstandingTest, OneBehindIsNotLateForTheFirst) {
  const auto first = launch(1), second = launch(2);
  second.ready->happened = true;
  EXPECT_EQ(late_at(0), 0);
  EXPECT_EQ(late_at(100), 0);
}

TEST_F(OutstandingTest, WithoutATimeoutNothingIsLate) {
  const auto launched = launch(1);
  launched.ready->happened = true;
  EXPECT_FALSE(outstanding_.late(Outstanding::Time(seconds(0)), 0));
  EXPECT_FALSE(outstanding_.late(Outstanding::Time(seconds(1'000'000)), 0));
}

TEST_F(OutstandingTest, ItSaysWhatIsNotDone) {
  EXPECT_EQ(outstanding_.describe(), "no collective");
  const auto first = launch(1048576), second = launch(2);
  EXPECT_EQ(outstanding_.describe(), "reduce_scatter of 1048576 x Float (backward of blocks.3), and 1 after it");
  first.done->happened = true;
  EXPECT_EQ(outstanding_.describe(), "reduce_scatter of 2 x Float (backward of blocks.3)");
  EXPECT_FALSE(outstanding_.empty());
}

}  // namespace
}  // namespace zerorun
