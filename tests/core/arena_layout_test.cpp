#include "core/arena_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <random>
#include <vector>

namespace zerorun::detail {
namespace {

int64_t take(ArenaLayout& layout, int64_t bytes) {
  const int64_t offset = layout.place(bytes);
  layout.take(offset, bytes);
  return offset;
}

TEST(ArenaLayout, ABlockLiesInTheTightestGapTheLowerOfTwo) {
  ArenaLayout layout;
  for (const int64_t bytes : {128, 64, 192, 64, 128, 64, 128}) take(layout, bytes);
  layout.free(0, 128);
  layout.free(192, 192);
  layout.free(448, 128);
  EXPECT_EQ(layout.place(192), 192);
  EXPECT_EQ(layout.place(128), 0);
  EXPECT_EQ(layout.place(64), 0);
  EXPECT_EQ(layout.place(256), layout.end());
  EXPECT_EQ(take(layout, 128), 0);
  EXPECT_EQ(take(layout, 128), 448);
  EXPECT_EQ(take(layout, 128), 192);
  EXPECT_EQ(take(layout, 64), 320);
  EXPECT_EQ(layout.gap_count(), 0);
}

TEST(ArenaLayout, NeighboursOfAFreedBlockBecomeOneGap) {
  ArenaLayout layout;
  for (int i = 0; i < 5; ++i) take(layout, 64);
  layout.free(64, 64);
  layout.free(192, 64);
  EXPECT_EQ(layout.gap_count(), 2);
  layout.free(128, 64);
  EXPECT_EQ(layout.gap_count(), 1);
  EXPECT_EQ(layout.place(192), 64);
}

TEST(ArenaLayout, WhatLiesBehindTheLastBlockIsNoGap) {
  ArenaLayout layout;
  take(layout, 64);
  const auto offset = take(layout, 640);
  layout.free(offset, 640);
  EXPECT_EQ(layout.end(), 64);
  EXPECT_EQ(layout.peak(), 704);
  EXPECT_EQ(layout.gap_count(), 0);
  EXPECT_EQ(take(layout, 1280), 64);
  EXPECT_EQ(layout.peak(), 64 + 1280);
}

// Blocks by offset, and a place found by looking at every offset between them.
class NaiveLayout {
 public:
  int64_t place(int64_t bytes) const {
    int64_t best = -1, best_width = 0, before = 0;
    for (const auto& [offset, size] : blocks) {
      const int64_t width = offset - before;
      if (width >= bytes && (best < 0 || width < best_width)) {
        best = before;
        best_width = width;
      }
      before = offset + size;
    }
    return best < 0 ? before : best;
  }

  std::map<int64_t, int64_t> blocks;
};

TEST(ArenaLayout, AgreesWithANaiveModelWhateverComes) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    ArenaLayout layout;
    NaiveLayout naive;
    int64_t peak = 0;
    for (int i = 0; i < 2000; ++i) {
      const bool frees = !naive.blocks.empty() && random() % 100 < (i < 1000 ? 40 : 60);
      if (frees) {
        const auto block = std::next(naive.blocks.begin(), random() % naive.blocks.size());
        layout.free(block->first, block->second);
        naive.blocks.erase(block);
      } else {
        const int64_t bytes = 64 * (1 + random() % 40), offset = layout.place(bytes);
        ASSERT_EQ(offset, naive.place(bytes)) << "seed " << seed << ", call " << i;
        layout.take(offset, bytes);
        naive.blocks[offset] = bytes;
      }
      const int64_t end = naive.blocks.empty() ? 0 : naive.blocks.rbegin()->first + naive.blocks.rbegin()->second;
      peak = std::max(peak, end);
      ASSERT_EQ(layout.end(), end);
      ASSERT_EQ(layout.peak(), peak);
    }
    for (const auto& [offset, bytes] : naive.blocks) layout.free(offset, bytes);
    EXPECT_EQ(layout.end(), 0);
    EXPECT_EQ(layout.gap_count(), 0);
  }
}

TEST(ArenaLayout, EqualStepsLieEquallyWhateverWentBefore) {
  ArenaLayout layout;
  std::vector<int64_t> steps[2];
  for (const int64_t states : {1024, 640}) take(layout, states);
  for (auto& offsets : steps) {
    std::mt19937 random(7);
    std::vector<std::pair<int64_t, int64_t>> live;
    for (int i = 0; i < 200; ++i) {
      const int64_t bytes = 64 * (1 + random() % 30);
      live.emplace_back(take(layout, bytes), bytes);
      offsets.push_back(live.back().first);
      if (i % 3 == 0) {
        std::swap(live[random() % live.size()], live.back());
        layout.free(live.back().first, live.back().second);
        live.pop_back();
      }
    }
    for (const auto& [offset, bytes] : live) layout.free(offset, bytes);
  }
  EXPECT_EQ(steps[0], steps[1]);
}

}  // namespace
}  // namespace zerorun::detail
