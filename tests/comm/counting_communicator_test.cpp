#include "comm/counting_communicator.h"

#include <gmock/gmock.h>

#include "comm/simulated_communicator.h"
#include "core/error.h"

namespace zerorun {
namespace {

TEST(Traffic, AStepsTrafficScalesToARuns) {
  const Traffic step{{1, 10, 0.5}, {2, 20, 0.25}, {0, 0, 0}, {3, 30, 1}};
  Traffic run = step * 4;
  EXPECT_EQ(run, (Traffic{{4, 40, 2}, {8, 80, 1}, {0, 0, 0}, {12, 120, 4}}));
  run += step;
  EXPECT_EQ(run, step * 5);
}

TEST(Traffic, LinesAreVisitedByName) {
  const Traffic traffic{{1, 0, 0}, {2, 0, 0}, {3, 0, 0}, {4, 0, 0}};
  std::vector<std::pair<std::string, int64_t>> lines;
  traffic.for_each([&](const char* name, const Traffic::Line& line) { lines.emplace_back(name, line.calls); });
  EXPECT_THAT(lines, testing::ElementsAre(testing::Pair("all_gather", 1), testing::Pair("reduce_scatter", 2),
                                          testing::Pair("all_reduce", 3), testing::Pair("control", 4)));
}

TEST(CountingCommunicator, ARefusedCallDoesNotCount) {
  SimulatedCommunicator inner(0, 2);
  CountingCommunicator communicator(inner);
  EXPECT_THROW(communicator.all_gather({nullptr, 3, at::kFloat}, {nullptr, 4, at::kFloat}), Error);
  EXPECT_EQ(communicator.traffic().all_gather.calls, 0);
}

TEST(CountingCommunicator, AWorkMayOutliveIt) {
  Work work;
  {
    SimulatedCommunicator inner(0, 2);
    CountingCommunicator communicator(inner);
    work = communicator.all_gather({nullptr, 2, at::kFloat}, {nullptr, 4, at::kFloat});
  }
  work.wait();
}

}  // namespace
}  // namespace zerorun
