#include "launcher/agreement.h"

#include <gmock/gmock.h>

#include "comm/thread_communicator.h"
#include "core/error.h"

namespace zerorun {
namespace {

using testing::HasSubstr;

TEST(Agreement, RanksOfOneBuildAgree) {
  EXPECT_THAT(this_build(), HasSubstr("little-endian"));
  run_ranks(3, [](Communicator& communicator) { agree_on_build(communicator, this_build()); });
}

TEST(Agreement, ARankOfAnotherBuildIsNamedWithBoth) {
  try {
    run_ranks(3, [](Communicator& communicator) {
      agree_on_build(communicator, communicator.rank() == 2 ? "zerorun 0.0.9 (program 1, LibTorch 2.10.0, big-endian)" : this_build());
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::disagreement);
    EXPECT_THAT(error.what(), HasSubstr("rank 2 runs zerorun 0.0.9 (program 1, LibTorch 2.10.0, big-endian), rank 0 runs " + this_build()));
  }
}

}  // namespace
}  // namespace zerorun
