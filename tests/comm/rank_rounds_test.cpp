#include "comm/rank_rounds.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "comm/rank_sum.h"
#include "comm/simulated_communicator.h"

namespace zerorun {
namespace {

constexpr int64_t kElement = sizeof(float);

float value_of(int rank, int64_t element) { return std::ldexp(static_cast<float>((element * 7919 + rank * 104729) % 20011) / 20011.0f - 0.5f, static_cast<int>(element + rank) % 12); }

// All ranks in one memory, round by round: what each sends arrives in the scratch of its peers.
struct World {
  World(int ranks, int64_t slice_count, int64_t scratch_bytes) : ranks(ranks), slice_count(slice_count) {
    for (int r = 0; r < ranks; ++r) {
      full.emplace_back();
      for (int64_t i = 0; i < slice_count * ranks; ++i) full.back().push_back(value_of(r, i));
      scratch.emplace_back(static_cast<size_t>(scratch_bytes / kElement));
      sum.emplace_back(static_cast<size_t>(slice_count));
      sent.emplace_back(static_cast<size_t>(slice_count * ranks));
    }
  }

  void reduce(const RankRounds& rounds) {
    for (int64_t i = 0; i < rounds.count(); ++i) {
      const RankRound round = rounds[i];
      ASSERT_GT(round.bytes, 0);
      for (int from = 0; from < ranks; ++from) {
        for (int to = 0; to < ranks; ++to) send(rounds, round, from, to);
        if (testing::Test::HasFatalFailure()) return;
      }
      for (int rank = 0; rank < ranks; ++rank) {
        std::vector<const void*> parts;
        for (int from = 0; from < ranks; ++from) parts.push_back(scratch[rank].data() + RankRounds::in_scratch(round, from) / kElement);
        ASSERT_LE(round.begin + round.bytes, slice_count * kElement);
        rank_sum(parts, {sum[rank].data() + round.begin / kElement, round.bytes / kElement, at::kFloat});
      }
    }
  }

  void send(const RankRounds& rounds, const RankRound& round, int from, int to) {
    const int64_t begin = rounds.in_full(round, to), end = RankRounds::in_scratch(round, from) + round.bytes;
    ASSERT_LE(end, static_cast<int64_t>(scratch[to].size()) * kElement) << "past the scratch";
    ASSERT_LE(begin + round.bytes, slice_count * ranks * kElement);
    for (int64_t i = begin / kElement; i < (begin + round.bytes) / kElement; ++i) ++sent[from][i];
    std::memcpy(scratch[to].data() + RankRounds::in_scratch(round, from) / kElement, full[from].data() + begin / kElement, static_cast<size_t>(round.bytes));
  }

  int ranks;
  int64_t slice_count;
  std::vector<std::vector<float>> full, scratch, sum;
  std::vector<std::vector<int>> sent;  // how often, of each element
};

TEST(RankRounds, AllRanksTogetherSumInRankOrderWithinTheScratch) {
  for (const int ranks : {1, 2, 3, 5, 8}) {
    for (const int64_t count : {1, 5, 64, 3 * 64, 37 * 64, 131072 + 64}) {
      const SimulatedCommunicator sizes(0, ranks);
      const int64_t piece = std::min(count * kElement, 2 * sizes.reduce_piece_bytes(count, at::kFloat));
      World world(ranks, count, sizes.reduce_scratch_bytes(count, at::kFloat));
      world.reduce({count * kElement, piece});
      if (HasFatalFailure()) return;
      for (int rank = 0; rank < ranks; ++rank) {
        EXPECT_TRUE(std::ranges::all_of(world.sent[rank], [](int times) { return times == 1; })) << "not all once";
        for (int64_t i = 0; i < count; ++i) {
          float expected = value_of(0, rank * count + i);
          for (int r = 1; r < ranks; ++r) expected += value_of(r, rank * count + i);
          ASSERT_EQ(world.sum[rank][i], expected) << ranks << " ranks, slice " << rank << " of " << count << ", element " << i;
        }
      }
    }
  }
}

TEST(RankRounds, NothingTakesNoRound) { EXPECT_EQ(RankRounds(0, 0).count(), 0); }

TEST(RankRounds, TheLastRoundIsWhatIsLeft) {
  const RankRounds rounds(100, 64);
  ASSERT_EQ(rounds.count(), 2);
  EXPECT_EQ(rounds[1].begin, 64);
  EXPECT_EQ(rounds[1].bytes, 36);
  EXPECT_EQ(rounds.in_full(rounds[1], 3), 364);
  EXPECT_EQ(RankRounds::in_scratch(rounds[1], 3), 108);
}

}  // namespace
}  // namespace zerorun
