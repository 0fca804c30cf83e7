#include "zero/timeline.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <optional>

#include "core/thinning.h"

namespace zerorun {
namespace {

using Levels = MemoryTimeline::Levels;
using Phase = MemoryTimeline::Phase;

constexpr size_t kStretches = 16;  // of a section

int64_t asleep_of(const Levels& levels) { return std::accumulate(levels.begin(), levels.end(), int64_t{0}) - total_of(levels); }

struct Told {
  Phase phase;
  std::string_view unit;
};

std::optional<Told> told(std::string_view activity) {
  const auto what = activity.substr(0, activity.rfind(", step "));
  for (const auto& [words, phase] : {std::pair("forward of ", Phase::forward), std::pair("backward of ", Phase::backward)}) {
    if (what.starts_with(words)) return Told{phase, what.substr(std::string_view(words).size())};
  }
  if (what == "gradient norm") return Told{Phase::norm, ""};
  if (what == "update") return Told{Phase::update, ""};
  return std::nullopt;
}

}  // namespace

TimelineRecorder::TimelineRecorder(MemoryTimeline& timeline, int micro_batches) : timeline_(timeline), micro_batches_(micro_batches) {
  timeline_ = {};
  timeline_.sections.push_back({Phase::start, "", 0, {now_}});
}

void TimelineRecorder::changed(Category category, int64_t bytes) {
  now_[static_cast<size_t>(category)] += bytes;
  timeline_.sections.back().levels.push_back(now_);
}

void TimelineRecorder::enter(std::string_view activity) {
  auto next = told(activity);
  if (!next) return;
  if (evaluates_) next->phase = Phase::evaluation;
  close_section();
  const auto before = timeline_.sections.back().phase;
  int micro_batch = timeline_.sections.back().micro_batch;
  if (before == Phase::backward && next->phase == Phase::forward) micro_batch = micro_batch == 0 ? 1 : micro_batches_ - 1;
  timeline_.sections.push_back({next->phase, std::string(next->unit), micro_batch, {now_}});
}

TimelineRecorder::~TimelineRecorder() {
  close_section();
  const int last = micro_batches_ - 1;
  if (last < 2) return;
  const bool is_highest = highest_of(1) > std::max(highest_of(0), highest_of(last));
  if (!is_highest) std::erase_if(timeline_.sections, [](const Section& section) { return section.micro_batch == 1; });
  timeline_.left_out = micro_batches_ - (is_highest ? 3 : 2);
}

void TimelineRecorder::close_section() {
  auto& levels = timeline_.sections.back().levels;
  std::vector<size_t> all(levels.size()), kept;
  std::iota(all.begin(), all.end(), size_t{0});
  const auto awake = thinned(all, kStretches, [&](size_t i) { return total_of(levels[i]); });
  const auto asleep = thinned(all, kStretches, [&](size_t i) { return asleep_of(levels[i]); });
  std::ranges::set_union(awake, asleep, std::back_inserter(kept));
  std::vector<Levels> short_list;
  for (const size_t i : kept) short_list.push_back(levels[i]);
  levels = std::move(short_list);
}

int64_t TimelineRecorder::highest_of(int micro_batch) const {
  int64_t highest = 0;
  for (const auto& section : timeline_.sections) {
    for (const auto& levels : section.levels) highest = std::max(highest, section.micro_batch == micro_batch ? total_of(levels) : 0);
  }
  return highest;
}

}  // namespace zerorun
