#include "zero/schedule.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace zerorun {
namespace {

bool needs_weights(const Model& model, const Visit& visit) {
  return !visit.backward || model.unit(visit.unit).backward_needs_weights();
}

// Spans of visits in which a group is needed. A span ends with the pass: between forward and backward nothing stays.
std::vector<Lifetime> spans_of_use(const Model& model, const std::vector<Visit>& visits) {
  std::vector<Lifetime> spans;
  std::vector<int> open(model.groups().size() * 2, -1);
  for (int v = 0; v < static_cast<int>(visits.size()); ++v) {
    if (!needs_weights(model, visits[v])) continue;
    for (const int group : model.groups_of(visits[v].unit)) {
      int& span = open[group * 2 + visits[v].backward];
      if (span < 0) {
        span = static_cast<int>(spans.size());
        spans.push_back({group, v, v});
      }
      spans[span].end = v;
    }
  }
  return spans;
}

// Moves the start of each gather `prefetch` gathering visits ahead, but not into an earlier life of the same group.
void start_ahead(std::vector<Lifetime>& spans, int prefetch) {
  std::vector<int> gathering;  // visits at which something new is needed
  for (const auto& span : spans) {
    if (gathering.empty() || gathering.back() != span.begin) gathering.push_back(span.begin);
  }
  for (size_t s = 0; s < spans.size(); ++s) {
    const auto at = std::lower_bound(gathering.begin(), gathering.end(), spans[s].begin) - gathering.begin();
    int begin = gathering[std::max<int64_t>(at - prefetch, 0)];
    for (size_t earlier = 0; earlier < s; ++earlier) {
      if (spans[earlier].group == spans[s].group) begin = std::max(begin, spans[earlier].end + 1);
    }
    spans[s].begin = begin;
  }
}

void plan_gathers(Schedule& schedule, const Model& model, int prefetch) {
  auto& spans = schedule.gathered;
  spans = spans_of_use(model, schedule.visits);
  for (const auto& span : spans) schedule.visits[span.end].release.push_back(span.group);
  for (auto& visit : schedule.visits) {
    if (needs_weights(model, visit)) visit.use = model.groups_of(visit.unit);
  }
  start_ahead(spans, prefetch);
  for (int s = 0; s < static_cast<int>(spans.size()); ++s) schedule.visits[spans[s].begin].gather.push_back(s);
}

// The first visit that adds to a group's gradient, and the last.
void plan_gradients(Schedule& schedule, const Model& model, int reduction) {
  const int last_visit = static_cast<int>(schedule.visits.size()) - 1;
  std::vector<Lifetime> spans(model.groups().size(), {-1, 0, 0});
  for (int v = 0; v <= last_visit; ++v) {
    const auto& visit = schedule.visits[v];
    if (!visit.backward && !model.unit(visit.unit).writes_gradients_in_forward()) continue;
    for (const int group : model.groups_of(visit.unit)) {
      if (!model.groups()[group].trainable) continue;
      if (spans[group].group < 0) spans[group] = {group, v, v};
      spans[group].end = v;
    }
  }
  for (const auto& span : spans) {
    if (span.group < 0) continue;
    schedule.visits[span.begin].open.push_back(span.group);
    schedule.visits[span.end].reduce.push_back(span.group);
    schedule.gradients.push_back({span.group, span.begin, std::min(span.end + reduction, last_visit)});
  }
}

bool meet(const Lifetime& a, const Lifetime& b) { return a.begin <= b.end && b.begin <= a.end; }

int64_t peak_of(const std::vector<Lifetime>& lifetimes, const std::vector<int64_t>& sizes) {
  int64_t peak = 0;
  for (const auto& moment : lifetimes) {
    int64_t now = 0;
    for (const auto& life : lifetimes) now += life.begin <= moment.begin && moment.begin <= life.end ? sizes[life.group] : 0;
    peak = std::max(peak, now);
  }
  return peak;
}

struct Extent {
  int64_t begin, end;
};

// Where `bytes` fit between the taken extents: as low as possible, or as high as possible below `top` if they fit there.
int64_t free_offset(std::vector<Extent> taken, int64_t bytes, bool at_top, int64_t top) {
  std::sort(taken.begin(), taken.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  int64_t begin = 0, found = -1;
  for (const auto& extent : taken) {
    const int64_t end = std::min(extent.begin, top);
    if (begin + bytes <= end) {
      if (!at_top) return begin;
      found = end - bytes;
    }
    begin = std::max(begin, extent.end);
  }
  if (at_top && begin + bytes <= top) return top - bytes;
  return found >= 0 ? found : begin;
}

SlotPlan place(const std::vector<Lifetime>& lifetimes, const std::vector<int64_t>& sizes, const std::vector<size_t>& order,
               const std::vector<bool>& at_top, int64_t top) {
  SlotPlan plan{std::vector<int64_t>(lifetimes.size(), 0), 0};
  std::vector<size_t> placed;
  for (const size_t i : order) {
    std::vector<Extent> taken;
    for (const size_t p : placed) {
      if (meet(lifetimes[i], lifetimes[p])) taken.push_back({plan.offsets[p], plan.offsets[p] + sizes[lifetimes[p].group]});
    }
    const int64_t bytes = sizes[lifetimes[i].group];
    plan.offsets[i] = free_offset(std::move(taken), bytes, at_top[i], top);
    plan.bytes = std::max(plan.bytes, plan.offsets[i] + bytes);
    placed.push_back(i);
  }
  return plan;
}

}  // namespace

Schedule Schedule::training(const Model& model, Sharding sharding, int prefetch, int reduction) {
  ZR_CHECK(prefetch >= 0, "prefetch is {}, expected 0 or more", prefetch);
  Schedule schedule = evaluation(model, {}, prefetch);
  const int first = model.first_trainable_unit();
  ZR_CHECK(first < model.unit_count(), "every parameter is frozen: there is nothing to train");
  for (int u = model.unit_count() - 1; u >= first; --u) schedule.visits.push_back({u, /*backward=*/true, {}, {}, {}, {}, {}});
  if (sharding.parameters) plan_gathers(schedule, model, prefetch);
  plan_gradients(schedule, model, reduction);
  return schedule;
}

Schedule Schedule::evaluation(const Model& model, Sharding sharding, int prefetch) {
  Schedule schedule;
  for (int u = 0; u < model.unit_count(); ++u) schedule.visits.push_back({u, /*backward=*/false, {}, {}, {}, {}, {}});
  if (sharding.parameters) plan_gathers(schedule, model, prefetch);
  return schedule;
}

SlotPlan plan_slots(const std::vector<Lifetime>& lifetimes, const std::vector<int64_t>& sizes) {
  std::vector<size_t> by_time(lifetimes.size());
  std::iota(by_time.begin(), by_time.end(), size_t{0});
  std::stable_sort(by_time.begin(), by_time.end(), [&](size_t a, size_t b) { return lifetimes[a].begin < lifetimes[b].begin; });
  auto by_size = by_time;
  std::stable_sort(by_size.begin(), by_size.end(), [&](size_t a, size_t b) { return sizes[lifetimes[a].group] > sizes[lifetimes[b].group]; });
  std::vector<bool> at_top(lifetimes.size(), false);
  for (size_t i = 1; i < by_time.size(); i += 2) at_top[by_time[i]] = true;

  const std::vector<bool> never(lifetimes.size(), false);
  const int64_t peak = peak_of(lifetimes, sizes);
  SlotPlan best{{}, std::numeric_limits<int64_t>::max()};
  for (const auto& order : {by_size, by_time}) {
    for (const auto& tops : {never, at_top}) {
      auto plan = place(lifetimes, sizes, order, tops, peak);
      if (plan.bytes < best.bytes) best = std::move(plan);
    }
  }
  return best;
}

}  // namespace zerorun
