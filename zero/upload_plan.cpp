#include "zero/upload_plan.h"

#include <algorithm>

#include "core/error.h"

namespace zerorun {
namespace {

int first_use(const Schedule& schedule, const Lifetime& life) {
  for (int v = life.begin; v <= life.end; ++v) {
    if (std::ranges::count(schedule.visits[static_cast<size_t>(v)].use, life.group)) return v;
  }
  fail(ErrorKind::bug, "group {} is gathered from visit {} to {} and not used", life.group, life.begin, life.end);
}

struct Need {
  Lifetime life;  // gathered
  int use;        // the first visit that computes with it
};

// Where the fetch of a need starts, in half visits: so many visits that need something new ahead of its use as slots allow.
int start_of(const Need& need, const std::vector<int>& uses, const UploadOptions& options) {
  if (!options.overlaps) return 2 * need.life.begin;
  const int ahead = options.gathered ? options.buffer_count : options.buffer_count - 1;
  const auto at = static_cast<int>(std::ranges::lower_bound(uses, need.use) - uses.begin());
  return at < ahead ? 2 * uses.front() : 2 * uses[static_cast<size_t>(at - ahead)] + 1;
}

int64_t bytes_at(const std::vector<Lifetime>& uploads, const std::vector<int64_t>& sizes, int half) {
  int64_t bytes = 0;
  for (const auto& upload : uploads) bytes += upload.begin <= half && half <= upload.end ? sizes[static_cast<size_t>(upload.group)] : 0;
  return bytes;
}

// Lets an upload live on to the next of its group, where that fits below `peak`, the shortest gaps first.
void keep_between(std::vector<Lifetime>& uploads, const std::vector<int64_t>& sizes, int64_t peak) {
  struct Gap {
    int length;
    Lifetime before, after;
  };
  std::vector<Gap> gaps;
  for (size_t i = 0; i < uploads.size(); ++i) {
    for (size_t j = i + 1; j < uploads.size(); ++j) {
      if (uploads[i].group != uploads[j].group) continue;
      gaps.push_back({uploads[j].begin - uploads[i].end, uploads[i], uploads[j]});
      break;
    }
  }
  std::ranges::stable_sort(gaps, {}, &Gap::length);
  const auto find = [&](int group, int begin) {
    return std::ranges::find_if(uploads, [&](const Lifetime& upload) { return upload.group == group && upload.begin == begin; });
  };
  for (const auto& [length, before, after] : gaps) {
    bool fits = true;
    for (int half = before.end + 1; half < after.begin; ++half) fits &= bytes_at(uploads, sizes, half) + sizes[static_cast<size_t>(before.group)] <= peak;
    if (!fits) continue;
    const auto next = find(before.group, after.begin);
    const int end = next->end;
    uploads.erase(next);
    std::ranges::find_if(uploads, [&](const Lifetime& upload) { return upload.group == before.group && upload.end == before.end; })->end = end;
  }
}

// Lets uploads start as early as there is room below `peak`, in the order in which they are needed.
void start_earlier(std::vector<Lifetime>& uploads, const std::vector<int64_t>& sizes, int64_t peak) {
  std::ranges::stable_sort(uploads, {}, &Lifetime::begin);
  for (size_t i = 0; i < uploads.size(); ++i) {
    int earliest = i > 0 ? uploads[i - 1].begin : 0;
    for (size_t j = 0; j < i; ++j) {
      if (uploads[j].group == uploads[i].group) earliest = std::max(earliest, uploads[j].end + 1);
    }
    const int64_t size = sizes[static_cast<size_t>(uploads[i].group)];
    while (uploads[i].begin > earliest && bytes_at(uploads, sizes, uploads[i].begin - 1) + size <= peak) --uploads[i].begin;
  }
}

}  // namespace

UploadPlan UploadPlan::of(const Schedule& schedule, const std::vector<int64_t>& sizes, const UploadOptions& options) {
  ZR_CHECK(options.buffer_count >= 1, "{} upload slots", options.buffer_count);
  std::vector<Need> needs;
  std::vector<int> uses;
  for (const auto& life : schedule.gathered) needs.push_back({life, first_use(schedule, life)});
  for (const auto& need : needs) uses.push_back(need.use);
  std::ranges::sort(uses);
  uses.erase(std::ranges::unique(uses).begin(), uses.end());

  UploadPlan plan;
  plan.starts.resize(schedule.visits.size());
  int64_t peak = 0;
  for (const auto& need : needs) {
    int begin = start_of(need, uses, options);
    for (const auto& earlier : plan.uploads) {
      if (earlier.group == need.life.group) begin = std::max(begin, earlier.end + 1);
    }
    plan.uploads.push_back({need.life.group, begin, options.gathered ? 2 * need.use : 2 * need.life.end + 1});
  }
  for (const auto& upload : plan.uploads) peak = std::max(peak, bytes_at(plan.uploads, sizes, upload.begin));
  keep_between(plan.uploads, sizes, peak);
  if (options.overlaps) start_earlier(plan.uploads, sizes, peak);
  for (size_t i = 0; i < plan.uploads.size(); ++i) {
    const int begin = plan.uploads[i].begin;
    auto& starts = plan.starts[static_cast<size_t>(begin / 2)];
    (begin % 2 ? starts.ahead : starts.first).push_back(static_cast<int>(i));
  }
  return plan;
}

int prefetch_with_uploads(int wanted, const UploadOptions& options) {
  return options.gathered && options.overlaps ? std::min(wanted, options.buffer_count - 1) : 0;
}

}  // namespace zerorun
