#include "comm/checking_communicator.h"

#include <gmock/gmock.h>

#include "comm/gather.h"
#include "comm/thread_communicator.h"
#include "core/error.h"

namespace zerorun {
namespace {

std::string disagreement_of(int size, const std::function<void(Communicator&)>& body) {
  try {
    run_ranks(size, [&](Communicator& inner) {
      const std::shared_ptr<Communicator> ranks(&inner, [](Communicator*) {});
      CheckingCommunicator communicator(ranks, ranks);
      body(communicator);
    });
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::disagreement);
    return error.what();
  }
  return "";
}

// Threads compare what is called, as messages do, but not what it belongs to: without the check this one would go through.
TEST(CheckingCommunicator, NamesTheRankThatSkippedACallWhoseNextLooksTheSame) {
  EXPECT_EQ(disagreement_of(4,
                            [](Communicator& communicator) {
                              for (int block = 0; block < 3; ++block) {
                                communicator.tell(Activity("forward of blocks." + std::to_string(block)));
                                if (communicator.rank() != 2 || block != 1) gather(communicator, block);
                              }
                            }),
            "ranks disagree: ranks 0, 1, 3 call exchange of 4 x Byte (forward of blocks.1), rank 2 calls exchange of 4 x Byte (forward of blocks.2); all ranks "
            "must make the same calls");
}

TEST(CheckingCommunicator, ComparesWhatIsCalledBeforeItMoves) {
  const auto body = [](Communicator& communicator) {
    std::vector<float> memory(64, 1.0f), scratch(1024);
    const Span full{memory.data(), communicator.rank() ? 8 : 4, at::kFloat}, own = full.slice(communicator.rank(), 2), space{scratch.data(), 1024, at::kFloat};
    try {
      communicator.rank() ? communicator.reduce_scatter(full, own, space) : communicator.all_reduce(full, space);
    } catch (const Error&) {
      EXPECT_THAT(memory, testing::Each(1.0f));
      throw;
    }
  };
  EXPECT_THAT(disagreement_of(2, body), testing::HasSubstr("rank 0 calls all_reduce of 4 x Float, rank 1 calls reduce_scatter of 8 x Float"));
}

}  // namespace
}  // namespace zerorun
