// Memory over the course of a step: the same run as the prediction, seen change by change.
#include "zero/timeline.h"

#include <gmock/gmock.h>

#include "tests/zero/world.h"
#include "zero/dry_run.h"

namespace zerorun::testing {
namespace {

using Phase = MemoryTimeline::Phase;
using ::testing::ElementsAre;

constexpr int64_t kLayers = 4;

Model model_of(bool llama) {
  if (llama)
    return make_llama(
        {.vocab_size = 50, .hidden_size = 16, .num_hidden_layers = kLayers, .num_attention_heads = 2, .intermediate_size = 40, .max_position_embeddings = 16});
  return make_gpt2({.vocab_size = 50, .hidden_size = 16, .num_hidden_layers = kLayers, .num_attention_heads = 2, .max_position_embeddings = 16});
}

DryRunOptions options_of(int stage, int ranks, int micro_batches, bool recompute = false) {
  DryRunOptions options;
  options.ranks = ranks;
  options.engine.sharding = Sharding::of_stage(stage, micro_batches, false);
  options.engine.micro_batches = micro_batches;
  options.engine.recompute = recompute;
  options.workload = {2, 16, 1, 0, 0};
  return options;
}

struct Seen {
  Prediction prediction;
  MemoryTimeline timeline;
};

Seen see(const Model& model, DryRunOptions options) {
  Seen seen;
  options.timeline = &seen.timeline;
  seen.prediction = dry_run(model, *make_adamw({}), options);
  return seen;
}

int64_t highest(const MemoryTimeline& timeline, const std::function<int64_t(const MemoryTimeline::Levels&)>& value) {
  int64_t highest = 0;
  for (const auto& section : timeline.sections) {
    for (const auto& levels : section.levels) highest = std::max(highest, value(levels));
  }
  return highest;
}

TEST(Timeline, ItsHighestTotalIsThePredictedOneAndListeningChangesNothing) {
  const SleepingPlace host{SleepingPlace::Device::host};
  for (const bool llama : {false, true}) {
    const Model model = model_of(llama);
    for (int lattice = 0; lattice < 32; ++lattice) {
      const int stage = lattice % 4, ranks = lattice & 4 ? 3 : 1, micro_batches = lattice & 8 ? 3 : 1;
      const bool asleep = lattice & 16, recompute = llama != (stage % 2 == 0);
      auto options = options_of(stage, ranks, micro_batches, recompute);
      options.workload.evaluations = options.workload.batches_per_evaluation = llama ? 0 : 1;
      if (asleep) options.engine.offload.optimizer = host;
      if (asleep && stage == 3) options.engine.offload.parameters = host;
      if (asleep && recompute) options.engine.offload.activations = host;
      const auto [prediction, timeline] = see(model, options);
      const auto unheard = dry_run(model, *make_adamw({}), options).memory;
      const auto what =
          fmt::format("llama {}, stage {}, {} ranks, {} micro-batches, recompute {}, asleep {}", llama, stage, ranks, micro_batches, recompute, asleep);
      const auto asleep_of = [](const auto& levels) { return levels[static_cast<size_t>(Category::host)]; };
      EXPECT_EQ(highest(timeline, total_of), prediction.memory.total_peak) << what;
      EXPECT_EQ(highest(timeline, asleep_of), prediction.memory.peak_of(Category::host)) << what;
      EXPECT_EQ(prediction.memory.peak, unheard.peak) << what;
      EXPECT_EQ(prediction.memory.total_peak + prediction.memory.arena_overhead, unheard.total_peak + unheard.arena_overhead) << what;
    }
  }
}

std::vector<std::string> names_of(const MemoryTimeline& timeline, Phase phase, int micro_batch = 0) {
  std::vector<std::string> names;
  for (const auto& section : timeline.sections) {
    if (section.phase == phase && section.micro_batch == micro_batch) names.push_back(section.unit);
  }
  return names;
}

TEST(Timeline, SaysWhatTheEngineDoesInItsOrder) {
  auto options = options_of(3, 2, 1);
  options.workload.evaluations = options.workload.batches_per_evaluation = 1;
  const auto timeline = see(model_of(false), options).timeline;
  EXPECT_THAT(names_of(timeline, Phase::forward), ElementsAre("embedding", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "head"));
  EXPECT_THAT(names_of(timeline, Phase::backward), ElementsAre("head", "blocks.3", "blocks.2", "blocks.1", "blocks.0", "embedding"));
  EXPECT_THAT(names_of(timeline, Phase::evaluation), ElementsAre("embedding", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "head"));
  std::vector<Phase> phases;
  for (const auto& section : timeline.sections) {
    ASSERT_FALSE(section.levels.empty());
    if (phases.empty() || phases.back() != section.phase) phases.push_back(section.phase);
  }
  EXPECT_THAT(phases, ElementsAre(Phase::start, Phase::forward, Phase::backward, Phase::norm, Phase::update, Phase::evaluation));
}

// One section ends where the next begins, and in between is higher than both: a unit's own peak would be missed at its ends.
TEST(Timeline, HasThePeakInsideOfAUnit) {
  const auto timeline = see(model_of(false), options_of(3, 2, 1, /*recompute=*/true)).timeline;
  for (size_t i = 1; i < timeline.sections.size(); ++i) EXPECT_EQ(timeline.sections[i].levels.front(), timeline.sections[i - 1].levels.back());
  for (const auto& section : timeline.sections) {
    if (!section.unit.starts_with("blocks")) continue;
    int64_t inside = 0;
    for (const auto& levels : section.levels) inside = std::max(inside, total_of(levels));
    EXPECT_GT(inside, std::max(total_of(section.levels.front()), total_of(section.levels.back()))) << section.unit;
  }
}

TEST(Timeline, OfManyMicroBatchesTheFirstAndTheLastAreKept) {
  const auto few = see(model_of(false), options_of(2, 2, 2)).timeline, many = see(model_of(false), options_of(2, 2, 40)).timeline;
  EXPECT_EQ(few.left_out, 0);
  EXPECT_EQ(many.left_out, 38);
  EXPECT_EQ(many.sections.size(), few.sections.size());
  EXPECT_EQ(names_of(many, Phase::forward, 0).size(), size_t{kLayers + 2});
  EXPECT_EQ(names_of(many, Phase::backward, 39).size(), size_t{kLayers + 2});
}

TEST(Timeline, IsShortForADeepModel) {
  const Model model =
      make_llama({.hidden_size = 8192, .num_hidden_layers = 80, .num_attention_heads = 64, .intermediate_size = 22016, .max_position_embeddings = 2048});
  auto options = options_of(3, 64, 4);
  options.workload = {1, 2048, 1, 0, 0};
  const auto [prediction, timeline] = see(model, options);
  EXPECT_EQ(highest(timeline, total_of), prediction.memory.total_peak);
  size_t levels = 0;
  for (const auto& section : timeline.sections) levels += section.levels.size();
  EXPECT_LT(levels * sizeof(MemoryTimeline::Levels), size_t{2} << 20);
}

// The first, one like all between, and the last: that in between stays where it is the highest.
TEST(Timeline, TheHighestMicroBatchStays) {
  for (const int64_t between : {15, 16}) {
    MemoryTimeline timeline;
    {
      TimelineRecorder recorder(timeline, 9);
      for (const int64_t bytes : {int64_t{10}, between, int64_t{15}}) {
        recorder.enter("forward of a, step 1");
        recorder.changed(Category::activations, bytes);
        recorder.enter("backward of a, step 1");
        recorder.changed(Category::activations, -bytes);
      }
      recorder.enter("what nobody knows, step 1");
      recorder.enter("update, step 1");
    }
    std::vector<int> kept;
    for (const auto& section : timeline.sections) kept.push_back(section.micro_batch);
    const std::vector<int> all{0, 0, 0, 1, 1, 8, 8, 8}, ends{0, 0, 0, 8, 8, 8};
    EXPECT_EQ(kept, between > 15 ? all : ends);
    EXPECT_EQ(timeline.left_out, between > 15 ? 6 : 7);
    EXPECT_EQ(highest(timeline, total_of), between);
  }
}

}  // namespace
}  // namespace zerorun::testing
