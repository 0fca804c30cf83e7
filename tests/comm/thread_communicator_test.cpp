#include "comm/thread_communicator.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "core/error.h"
#include "tests/comm/disagreement.h"

namespace zerorun {
namespace {

using test::disagreement_of;
using testing::AllOf;
using testing::HasSubstr;

void gather(Communicator& communicator, int64_t slice_count) {
  std::vector<float> full(static_cast<size_t>(slice_count * communicator.size()));
  const Span whole{full.data(), slice_count * communicator.size(), at::kFloat};
  communicator.all_gather(whole.slice(communicator.rank(), communicator.size()), whole).wait();
}

TEST(ThreadRanks, ARankThatThrowsTakesTheOthersOutOfTheirCollectives) {
  std::atomic<int> peers_failed = 0;
  const auto body = [&](Communicator& communicator) {
    gather(communicator, 8);
    if (communicator.rank() == 2) fail(ErrorKind::bad_data, "token 70000 is out of range");
    try {
      gather(communicator, 8);
    } catch (const PeerFailed&) {
      ++peers_failed;
      throw;
    }
  };
  try {
    run_ranks(4, body);
    FAIL() << "the error was lost";
  } catch (const PeerFailed&) {
    FAIL() << "the echo came before the error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_data);
    EXPECT_STREQ(error.what(), "token 70000 is out of range");
  }
  EXPECT_EQ(peers_failed, 3);
}

TEST(ThreadRanks, OtherSizesAreADisagreementThatNamesBothCalls) {
  EXPECT_THAT(disagreement_of(3, [](Communicator& c) { gather(c, c.rank() == 1 ? 16 : 8); }),
              AllOf(HasSubstr("ranks 0, 2 call all_gather of 8 x Float"), HasSubstr("rank 1 calls all_gather of 16 x Float")));
}

TEST(ThreadRanks, OtherKindsAreADisagreementThatNamesBothCalls) {
  const auto body = [](Communicator& communicator) {
    if (communicator.rank() != 1) return gather(communicator, 4);
    int value = 0, all[2];
    communicator.exchange(&value, all, sizeof value);
  };
  EXPECT_THAT(disagreement_of(2, body), AllOf(HasSubstr("rank 0 calls all_gather"), HasSubstr("rank 1 calls exchange")));
}

TEST(ThreadRanks, OtherDtypesAreADisagreement) {
  const auto body = [](Communicator& communicator) {
    float full[16] = {};
    const Span whole{full, 16, communicator.rank() ? at::kFloat : at::kInt};
    communicator.all_gather(whole.slice(communicator.rank(), 2), whole);
  };
  EXPECT_THAT(disagreement_of(2, body), AllOf(HasSubstr("8 x Int"), HasSubstr("8 x Float")));
}

TEST(ThreadRanks, ASkippedCollectiveIsADisagreementNotAHang) {
  const auto body = [](Communicator& communicator) {
    if (communicator.rank() == 0) gather(communicator, 8);
  };
  EXPECT_THAT(disagreement_of(2, body), HasSubstr("rank 1 has ended"));
}

TEST(ThreadRanks, ABrokenWorldStaysBroken) {
  run_ranks(2, [](Communicator& communicator) {
    EXPECT_THROW(gather(communicator, 8 + communicator.rank()), Error);
    EXPECT_THROW(gather(communicator, 8), Error);
  });
}

TEST(ThreadRanks, MoreRanksThanCoresMeetManyTimes) {
  run_ranks(8, [](Communicator& communicator) {
    for (int round = 0; round < 200; ++round) {
      int mine = round * 8 + communicator.rank(), all[8];
      communicator.exchange(&mine, all, sizeof mine);
      for (int r = 0; r < 8; ++r) ASSERT_EQ(all[r], round * 8 + r);
    }
  });
}

TEST(ThreadWorld, AbortFreesRanksThatWait) {
  ThreadWorld world(2);
  const auto first = world.communicator(0), second = world.communicator(1);
  std::thread waiting([&] { EXPECT_THROW(gather(*first, 8), PeerFailed); });
  world.abort();
  waiting.join();
  EXPECT_THROW(gather(*second, 8), PeerFailed);
}

TEST(ThreadWorld, HasAtLeastOneRank) {
  EXPECT_THROW(ThreadWorld(0), Error);
  EXPECT_THROW(ThreadWorld(2).communicator(2), Error);
}

}  // namespace
}  // namespace zerorun
