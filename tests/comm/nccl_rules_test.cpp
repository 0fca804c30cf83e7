#include "comm/nccl_rules.h"

#include <gmock/gmock.h>

#include <functional>
#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

using testing::HasSubstr;

// The kind and the message of what `action` throws.
std::pair<ErrorKind, std::string> error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {ErrorKind{}, ""};
}

NcclHello hello(const char* gpu, const char* host = "a", int version = 22809) {
  NcclHello of;
  of.version = version;
  of.has_id = 1;
  return of.with(gpu, host);
}

TEST(NcclRules, VersionsReadAsNcclWritesThem) {
  EXPECT_EQ(nccl_version_text(22809), "2.28.9");
  EXPECT_EQ(nccl_version_text(23000), "2.30.0");
}

TEST(NcclRules, RanksWithGpusOfTheirOwnAreFine) {
  check_nccl_hellos(std::vector{hello("GPU-1"), hello("GPU-2"), hello("GPU-1", "b")}, 22809);
  check_nccl_hellos(std::vector{hello("GPU-1", "a", 23001), hello("GPU-2", "a", 23001)}, 22809);
}

TEST(NcclRules, ALibraryOlderThanTheHeaderIsRefusedWithBothVersions) {
  const auto [kind, message] = error_of([] { check_nccl_hellos(std::vector{hello("GPU-1"), hello("GPU-2", "b", 22706)}, 22809, 4); });
  EXPECT_EQ(kind, ErrorKind::configuration);
  EXPECT_THAT(message, HasSubstr("rank 5 on b has loaded NCCL 2.27.6, but zerorun was built with 2.28.9"));
  EXPECT_THAT(message, HasSubstr("LD_LIBRARY_PATH"));
}

TEST(NcclRules, RanksWithDifferentLibrariesAreRefused) {
  const auto [kind, message] = error_of([] { check_nccl_hellos(std::vector{hello("GPU-1"), hello("GPU-2", "b", 23001)}, 22809); });
  EXPECT_EQ(kind, ErrorKind::configuration);
  EXPECT_THAT(message, HasSubstr("rank 0 on a has loaded NCCL 2.28.9, and rank 1 on b has loaded 2.30.1"));
}

TEST(NcclRules, TwoRanksOnAGpuAreNamedWithTheWaysOut) {
  const auto [kind, message] = error_of([] { check_nccl_hellos(std::vector{hello("GPU-1"), hello("GPU-2"), hello("GPU-2")}, 22809); });
  EXPECT_EQ(kind, ErrorKind::configuration);
  EXPECT_THAT(message, HasSubstr("ranks 1 and 2 compute on the same GPU of a (GPU-2)"));
  for (const char* way : {"fewer ranks", "CUDA_VISIBLE_DEVICES", "comm.allow_shared_gpu"}) EXPECT_THAT(message, HasSubstr(way));
}

TEST(NcclRules, ASharedGpuTakesANewerNcclThatIsToldTo) {
  const auto shared = [](int version, bool enabled) {
    std::vector ranks{hello("GPU-1", "a", version), hello("GPU-1", "a", version)};
    for (NcclHello& rank : ranks) {
      rank.allow_shared_gpu = 1;
      rank.multi_rank_gpu = enabled;
    }
    return error_of([&] { check_nccl_hellos(ranks, 22809); }).second;
  };
  EXPECT_THAT(shared(22809, true), HasSubstr("which NCCL 2.28.9 cannot do (2.30.0 can)"));
  EXPECT_THAT(shared(23000, false), HasSubstr("NCCL_MULTI_RANK_GPU_ENABLE=1"));
  EXPECT_EQ(shared(23000, true), "");
}

TEST(NcclRules, OptionsMustBeThoseOfAllRanks) {
  std::vector ranks{hello("GPU-1"), hello("GPU-2")};
  ranks[1].strict = 1;
  EXPECT_EQ(error_of([&] { check_nccl_hellos(ranks, 22809); }).first, ErrorKind::configuration);
}

TEST(NcclRules, WhereRankZeroHasNoIdItsMessageIsTheOneToShow) {
  std::vector ranks{hello("GPU-1"), hello("GPU-2")};
  ranks[0].has_id = 0;
  EXPECT_THROW(check_nccl_hellos(ranks, 22809), PeerFailed);
}

TEST(NcclRules, BuffersOfDifferentSizesAreADisagreement) {
  check_same_bytes(std::vector<int64_t>{64, 64}, 0);
  const auto [kind, message] = error_of([] { check_same_bytes(std::vector<int64_t>{64, 64, 32}, 8); });
  EXPECT_EQ(kind, ErrorKind::disagreement);
  EXPECT_THAT(message, HasSubstr("rank 8 allocates a buffer of 64 bytes, rank 10 one of 32"));
}

TEST(NcclRules, MessagesNameTheRankTheCollectiveAndTheGroup) {
  const RankName name{1, 4, 4};
  const Call call{Collective::reduce_scatter, at::kFloat, 1048576, Activity("backward of blocks.3")};
  EXPECT_THAT(nccl_timeout_message(name, call.describe(), 60),
              testing::StartsWith("rank 5 (of ranks 4 to 7) has waited for its peers for 60 s in reduce_scatter of 1048576 x Float (backward of blocks.3) (comm.timeout_seconds)"));
  EXPECT_EQ(nccl_failure_message(name, "the start of the group", "unhandled system error", "socket closed"),
            "rank 5 (of ranks 4 to 7): NCCL failed in the start of the group: unhandled system error; socket closed");
  EXPECT_THAT(nccl_failure_message({0, 0, 1}, "x", "y", ""), testing::AllOf(HasSubstr("rank 0: NCCL"), HasSubstr("NCCL_DEBUG=INFO")));
}

}  // namespace
}  // namespace zerorun
