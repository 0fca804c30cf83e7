#include "zero/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/models/gpt2.h"

namespace zerorun {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Model model_of(int layers, bool tied) {
  return make_gpt2({.vocab_size = 50, .hidden_size = 8, .num_hidden_layers = layers, .num_attention_heads = 2, .max_position_embeddings = 4,
                    .tie_word_embeddings = tied});
}

TEST(Schedule, VisitsEveryUnitForwardThenBackward) {
  const auto schedule = Schedule::training(model_of(1, false), Sharding::of_stage(0), 1);
  std::vector<std::pair<int, bool>> order;
  for (const auto& visit : schedule.visits) order.emplace_back(visit.unit, visit.backward);
  EXPECT_THAT(order, ElementsAre(std::pair(0, false), std::pair(1, false), std::pair(2, false), std::pair(2, true), std::pair(1, true),
                                 std::pair(0, true)));
}

TEST(Schedule, ResidentParametersAreNeverGathered) {
  for (int stage = 0; stage <= 2; ++stage) {
    const auto schedule = Schedule::training(model_of(2, true), Sharding::of_stage(stage), 1);
    EXPECT_THAT(schedule.gathered, IsEmpty());
    for (const auto& visit : schedule.visits) EXPECT_THAT(visit.gather, IsEmpty());
  }
}

// Every group that a visit uses was gathered, arrived, and was not released since.
TEST(Schedule, WhatIsUsedIsGatheredAndNotYetReleased) {
  for (const bool tied : {true, false}) {
    for (int prefetch = 0; prefetch <= 5; ++prefetch) {
      const Model model = model_of(3, tied);
      const auto schedule = Schedule::training(model, Sharding::of_stage(3), prefetch);
      std::vector<bool> held(model.groups().size(), false);
      for (const auto& visit : schedule.visits) {
        for (const int i : visit.gather) {
          EXPECT_FALSE(held[schedule.gathered[i].group]) << "gathered twice";
          held[schedule.gathered[i].group] = true;
        }
        for (const int group : visit.use) EXPECT_TRUE(held[group]) << "used before it is gathered";
        for (const int group : visit.release) held[group] = false;
      }
      EXPECT_EQ(std::count(held.begin(), held.end(), true), 0) << "still held at the end";
    }
  }
}

TEST(Schedule, EmbeddingAndHeadAreGatheredOnceBlocksTwice) {
  const Model model = model_of(2, true);
  const auto schedule = Schedule::training(model, Sharding::of_stage(3), 1);
  std::vector<int> gathers(model.groups().size(), 0);
  for (const auto& life : schedule.gathered) ++gathers[life.group];
  for (size_t g = 0; g < gathers.size(); ++g) EXPECT_EQ(gathers[g], model.groups()[g].name.starts_with("blocks") ? 2 : 1) << model.groups()[g].name;
}

TEST(Schedule, ATiedWeightStaysGatheredFromItsFirstToItsLastUse) {
  const Model model = model_of(2, true);
  const auto schedule = Schedule::training(model, Sharding::of_stage(3), 1);
  const auto tied = std::find_if(schedule.gathered.begin(), schedule.gathered.end(),
                                 [&](const Lifetime& life) { return model.groups()[life.group].units.size() == 2; });
  ASSERT_NE(tied, schedule.gathered.end());
  EXPECT_EQ(tied->begin, 0);
  EXPECT_EQ(tied->end, model.unit_count() - 1);
}

TEST(Schedule, EveryGradientIsOpenedOnceBeforeItIsReducedOnce) {
  for (const bool tied : {true, false}) {
    const Model model = model_of(3, tied);
    const auto schedule = Schedule::training(model, Sharding::of_stage(2), 1);
    std::vector<int> opened(model.groups().size(), 0), reduced(model.groups().size(), 0);
    for (const auto& visit : schedule.visits) {
      for (const int group : visit.open) ++opened[group];
      for (const int group : visit.reduce) {
        EXPECT_EQ(opened[group], 1);
        ++reduced[group];
      }
    }
    EXPECT_THAT(opened, ::testing::Each(1));
    EXPECT_THAT(reduced, ::testing::Each(1));
  }
}

TEST(Schedule, TheHeadsGradientIsOpenInItsForward) {
  const Model model = model_of(1, false);
  const auto schedule = Schedule::training(model, Sharding::of_stage(2), 1);
  const auto& head = schedule.visits[model.unit_count() - 1];
  EXPECT_FALSE(head.backward);
  EXPECT_EQ(head.open, model.groups_of(model.unit_count() - 1));
}

void expect_no_overlap(const std::vector<Lifetime>& lifetimes, const std::vector<int64_t>& sizes, const SlotPlan& plan) {
  for (size_t a = 0; a < lifetimes.size(); ++a) {
    EXPECT_LE(plan.offsets[a] + sizes[lifetimes[a].group], plan.bytes);
    for (size_t b = 0; b < a; ++b) {
      const bool in_time = lifetimes[a].begin <= lifetimes[b].end && lifetimes[b].begin <= lifetimes[a].end;
      const bool in_space = plan.offsets[a] < plan.offsets[b] + sizes[lifetimes[b].group] &&
                            plan.offsets[b] < plan.offsets[a] + sizes[lifetimes[a].group];
      EXPECT_FALSE(in_time && in_space) << a << " and " << b;
    }
  }
}

int64_t peak_of(const std::vector<Lifetime>& lifetimes, const std::vector<int64_t>& sizes, int visits) {
  int64_t peak = 0;
  for (int v = 0; v < visits; ++v) {
    int64_t now = 0;
    for (const auto& life : lifetimes) now += life.begin <= v && v <= life.end ? sizes[life.group] : 0;
    peak = std::max(peak, now);
  }
  return peak;
}

TEST(SlotPlan, SlotsThatMeetInTimeDoNotMeetInSpaceAndTheBufferIsThePeakOrABlockMore) {
  for (const bool tied : {true, false}) {
    for (const int layers : {1, 2, 5}) {
      for (int prefetch = 0; prefetch <= 3; ++prefetch) {
        const Model model = model_of(layers, tied);
        const auto schedule = Schedule::training(model, Sharding::of_stage(3), prefetch);
        std::vector<int64_t> sizes;
        for (const auto& group : model.groups()) sizes.push_back(group.name.starts_with("blocks") ? 1000 : 5000);
        for (const auto* lifetimes : {&schedule.gathered, &schedule.gradients}) {
          const auto plan = plan_slots(*lifetimes, sizes);
          expect_no_overlap(*lifetimes, sizes, plan);
          const int64_t peak = peak_of(*lifetimes, sizes, static_cast<int>(schedule.visits.size()));
          if (prefetch <= 1 && !tied) {
            EXPECT_EQ(plan.bytes, peak) << layers << " layers, prefetch " << prefetch << (tied ? ", tied" : "");
          }
          EXPECT_LE(plan.bytes, peak + 1000) << layers << " layers, prefetch " << prefetch << (tied ? ", tied" : "");
        }
      }
    }
  }
}

}  // namespace
}  // namespace zerorun
