#include "zero/upload_plan.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "core/models/gpt2.h"
#include "core/random.h"

namespace zerorun {
namespace {

Model model_of(int layers, bool tied) {
  return make_gpt2({.vocab_size = 50, .hidden_size = 8, .num_hidden_layers = layers, .num_attention_heads = 2, .max_position_embeddings = 4, .tie_word_embeddings = tied});
}

int64_t bytes_at(const std::vector<Lifetime>& lives, const std::vector<int64_t>& sizes, int half) {
  int64_t bytes = 0;
  for (const auto& life : lives) bytes += life.begin <= half && half <= life.end ? sizes[static_cast<size_t>(life.group)] : 0;
  return bytes;
}

int most_at_a_time(const UploadPlan& plan) {
  const std::vector<int64_t> ones(100, 1);
  int64_t most = 0;
  for (const auto& upload : plan.uploads) most = std::max(most, bytes_at(plan.uploads, ones, upload.begin));
  return static_cast<int>(most);
}

// What a rank would find: every gather has a slice to start from, which stays until it is done; uploads start once, in their visits; and
// slots that live at a time lie apart.
std::string what_is_wrong(const Schedule& schedule, const std::vector<int64_t>& sizes, const UploadPlan& plan, const SlotPlan& slots, bool gathered) {
  std::vector<int> started(plan.uploads.size(), 0);
  for (size_t v = 0; v < plan.starts.size(); ++v) {
    for (const int i : plan.starts[v].first) started[i] += plan.uploads[i].begin == static_cast<int>(2 * v) ? 1 : 9;
    for (const int i : plan.starts[v].ahead) started[i] += plan.uploads[i].begin == static_cast<int>(2 * v + 1) ? 1 : 9;
  }
  if (std::ranges::count(started, 1) != std::ssize(started)) return "an upload that does not start where it begins";
  for (const auto& life : schedule.gathered) {
    int use = life.begin;
    while (!std::ranges::count(schedule.visits[use].use, life.group)) ++use;
    const int begin = 2 * life.begin, end = gathered ? 2 * use : 2 * life.end + 1;
    const bool there = std::ranges::any_of(plan.uploads, [&](const Lifetime& upload) { return upload.group == life.group && upload.begin <= begin && end <= upload.end; });
    if (!there) return "a gather without a slice";
  }
  for (size_t a = 0; a < plan.uploads.size(); ++a) {
    const auto& life = plan.uploads[a];
    if (slots.offsets[a] + sizes[life.group] > slots.bytes) return "a slot behind the end";
    for (size_t b = 0; b < a; ++b) {
      const auto& other = plan.uploads[b];
      const bool in_time = life.begin <= other.end && other.begin <= life.end;
      const bool in_space = slots.offsets[a] < slots.offsets[b] + sizes[other.group] && slots.offsets[b] < slots.offsets[a] + sizes[life.group];
      if (in_time && in_space) return "two slices in one slot";
      if (in_time && life.group == other.group) return "one slice twice";
    }
  }
  return "";
}

TEST(UploadPlan, TenThousandRandomPassesHaveNoConflict) {
  for (uint32_t seed = 0; seed < 10'000; ++seed) {
    const auto words = philox4x32_10({seed, 0, 0, 0}, {1, 2});
    const Model model = model_of(1 + static_cast<int>(words[0] % 6), words[0] & 64);
    const UploadOptions options{.buffer_count = 2 + static_cast<int>(words[1] % 3), .overlaps = (words[1] & 8) != 0, .gathered = (words[1] & 16) != 0};
    std::vector<int64_t> sizes;
    for (size_t g = 0; g < model.groups().size(); ++g) sizes.push_back(64 * (1 + philox4x32_10({seed, static_cast<uint32_t>(g), 1, 0}, {1, 2})[0] % 40));
    const int prefetch = prefetch_with_uploads(static_cast<int>(words[2] % 5), options);
    const auto schedule = words[3] % 4 ? Schedule::training(model, Sharding::of_stage(3), prefetch) : Schedule::evaluation(model, Sharding::of_stage(3), prefetch);
    const auto plan = UploadPlan::of(schedule, sizes, options);
    ASSERT_EQ(what_is_wrong(schedule, sizes, plan, plan_slots(plan.uploads, sizes), options.gathered), "") << "seed " << seed;
  }
}

TEST(UploadPlan, ASlotThatIsUsedTooEarlyIsSeen) {
  const Model model = model_of(4, false);
  const std::vector<int64_t> sizes(model.groups().size(), 64);
  const UploadOptions options{.gathered = false};
  const auto schedule = Schedule::training(model, Sharding::of_stage(3), 0);
  auto plan = UploadPlan::of(schedule, sizes, options);
  const auto slots = plan_slots(plan.uploads, sizes);
  ASSERT_EQ(what_is_wrong(schedule, sizes, plan, slots, false), "");
  auto& late = plan.uploads[3];
  std::erase(plan.starts[late.begin / 2].ahead, 3);
  std::erase(plan.starts[late.begin / 2].first, 3);
  late.begin -= 2;
  (late.begin % 2 ? plan.starts[late.begin / 2].ahead : plan.starts[late.begin / 2].first).push_back(3);
  EXPECT_EQ(what_is_wrong(schedule, sizes, plan, slots, false), "two slices in one slot");
}

TEST(UploadPlan, HoldsAsManySlicesAsThereAreBuffers) {
  const Model model = model_of(6, false);
  const std::vector<int64_t> sizes(model.groups().size(), 64);
  for (const bool gathered : {false, true}) {
    for (const int buffers : {2, 3, 4}) {
      const auto schedule = Schedule::training(model, Sharding::of_stage(3), gathered ? 1 : 0);
      EXPECT_EQ(most_at_a_time(UploadPlan::of(schedule, sizes, {buffers, true, gathered})), buffers);
    }
    const auto schedule = Schedule::training(model, Sharding::of_stage(3), 0);
    EXPECT_EQ(most_at_a_time(UploadPlan::of(schedule, sizes, {2, false, gathered})), 1) << "blocked";
  }
}

// Blocks are gathered twice; the slices of the last are uploaded once.
TEST(UploadPlan, TheLastUnitsStayFromForwardToBackward) {
  const Model model = model_of(6, false);
  const std::vector<int64_t> sizes(model.groups().size(), 64);
  for (const int buffers : {2, 3, 4}) {
    const auto schedule = Schedule::training(model, Sharding::of_stage(3), 0);
    const auto plan = UploadPlan::of(schedule, sizes, {buffers, true, false});
    EXPECT_EQ(schedule.gathered.size() - plan.uploads.size(), static_cast<size_t>(buffers - 1)) << buffers << " buffers, one of them the head's";
  }
}

}  // namespace
}  // namespace zerorun
