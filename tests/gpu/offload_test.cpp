// On a GPU too: wherever what a rank keeps sleeps, and whether moves overlap, the same bits as with everything on the device. It needs a GPU.
#include <gtest/gtest.h>

#include "comm/nccl_communicator.h"
#include "tests/zero/offload_cases.h"

namespace zerorun::testing {
namespace {

// One rank; ranks that share memory there are none of.
std::vector<Choice> choices_of_one_rank() {
  return pairwise(all_choices({std::begin(kValues), std::end(kValues)}, [](const Choice& c) { return is_allowed(c) && c[kRanks] == 0 && c[kHost] == 0; }));
}

TrainingCase case_on_gpu(const Choice& c) {
  auto test = case_of(c);
  test.device = {at::kCUDA, 0};
  test.steps = 3;
  test.gradients_from = test.steps - 1;
  test.global_batch_size = 12;
  test.wrap_communicator = [](Communicator& control) { return std::make_unique<NcclCommunicator>(control); };
  return test;
}

class OffloadedTrainingOnGpu : public ::testing::TestWithParam<Choice> {};

TEST_P(OffloadedTrainingOnGpu, GivesTheBitsOfATrainingOnTheDevice) {
  auto test = case_on_gpu(GetParam());
  const auto resident = train(test);
  test.offload = offload_of(GetParam());
  EXPECT_EQ(first_difference(train(test), resident), "");
}

INSTANTIATE_TEST_SUITE_P(Cover, OffloadedTrainingOnGpu, ::testing::ValuesIn(choices_of_one_rank()), [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace zerorun::testing
