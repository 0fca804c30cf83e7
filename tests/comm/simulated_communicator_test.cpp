#include "comm/simulated_communicator.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace zerorun {
namespace {

TEST(SimulatedCommunicator, RefusesRanksThatCannotBe) {
  EXPECT_THROW(SimulatedCommunicator(0, 0), Error);
  EXPECT_THROW(SimulatedCommunicator(2, 2), Error);
  EXPECT_THROW(SimulatedCommunicator(-1, 2), Error);
  EXPECT_THROW(SimulatedCommunicator(0, -1), Error);
}

TEST(SimulatedCommunicator, AllocatesWithoutBytes) {
  SimulatedCommunicator communicator(1, 3);
  EXPECT_TRUE(communicator.allocate(int64_t{1} << 45).is_meta());
}

TEST(SimulatedCommunicator, ExchangeAnswersThatAllHaveWhatIHave) {
  SimulatedCommunicator communicator(1, 3);
  const int mine = 7;
  int all[3] = {};
  communicator.exchange(&mine, all, sizeof mine);
  for (int value : all) EXPECT_EQ(value, 7);
}

TEST(SimulatedCommunicator, TakesSpansWithoutData) {
  SimulatedCommunicator communicator(0, 4);
  const Span full{nullptr, int64_t{1} << 40, at::kBFloat16};
  const Span scratch{nullptr, communicator.reduce_scratch_bytes(full.count / 4, full.dtype), at::kByte};
  communicator.all_gather(full.slice(0, 4), full).wait();
  communicator.reduce_scatter(full, full.slice(0, 4), scratch, {}).wait();
  communicator.all_reduce(full, scratch).wait();
}

}  // namespace
}  // namespace zerorun
