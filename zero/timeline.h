// Memory over the course of a step: every change that the dry run makes, by what the engine does at the time. The highest total in it is
// the predicted total, since it is the same run.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/memory.h"

namespace zerorun {

struct MemoryTimeline {
  using Levels = std::array<int64_t, kCategoryCount>;  // bytes, by Category
  // start: the engine is made. Norm: of the gradient, of all groups. Evaluation: one batch of it, where the workload has any.
  enum class Phase { start, forward, backward, norm, update, evaluation };
  // From one thing that the engine does to the next.
  struct Section {
    Phase phase = Phase::start;
    std::string unit;     // of forward, backward and evaluation
    int micro_batch = 0;  // of the step, from 0
    std::vector<Levels>
        levels;  // never empty: as it begins, after changes, as it ends. Of many changes the highest and lowest of equal stretches, on the device and asleep
  };

  std::vector<Section> sections;
  int left_out = 0;  // micro-batches between the first and the last: none is higher than those that are here
};

// Of the device's categories.
inline int64_t total_of(const MemoryTimeline::Levels& levels) {
  int64_t total = 0;
  for (size_t c = 0; c < levels.size(); ++c) total += on_device(static_cast<Category>(c)) ? levels[c] : 0;
  return total;
}

// Writes a timeline from its making to its end, while it listens to a ledger. One thread; a few hundred KB for 80 blocks.
class TimelineRecorder final : public MemoryListener {
 public:
  // Of a step of so many micro-batches, of which the dry run computes the first, one like all between, and the last. REQUIRES that the ledger that it will hear is
  // empty, and that `timeline` outlives it.
  TimelineRecorder(MemoryTimeline& timeline, int micro_batches);
  ~TimelineRecorder() override;
  TimelineRecorder(const TimelineRecorder&) = delete;
  TimelineRecorder& operator=(const TimelineRecorder&) = delete;

  void changed(Category category, int64_t bytes) override;
  // What the engine tells the other ranks (Communicator::tell): "backward of transformer.h.3, step 1". What is not known here is a part of what was before.
  void enter(std::string_view activity);
  void begin_evaluation() { evaluates_ = true; }

 private:
  using Section = MemoryTimeline::Section;
  void close_section();
  int64_t highest_of(int micro_batch) const;

  MemoryTimeline& timeline_;
  MemoryTimeline::Levels now_{};
  bool evaluates_ = false;
  int micro_batches_;
};

}  // namespace zerorun
