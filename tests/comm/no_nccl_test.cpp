#include <gmock/gmock.h>

#include "comm/nccl_communicator.h"
#include "comm/simulated_communicator.h"
#include "core/error.h"

namespace zerorun {
namespace {

TEST(NoNccl, ItsCommunicatorIsRefusedWithTheWayOut) {
  SimulatedCommunicator control(0, 2);
  try {
    NcclCommunicator communicator(control);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::configuration);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("built without CUDA"), testing::HasSubstr("-DZERORUN_CUDA=ON")));
  }
}

}  // namespace
}  // namespace zerorun
