// When slices that sleep come to the device, and how long each holds the slot that it comes to. Planned once from a schedule, as its other
// slots are.
#pragma once
#include <cstdint>
#include <vector>

#include "zero/schedule.h"

namespace zerorun {

struct UploadOptions {
  int buffer_count = 2;  // slices on the device at a time
  bool overlaps = true;  // false: each comes when it is needed
  bool gathered = true;  // a slot is free once its slice has been gathered; false (one rank): once its unit has been computed with
};

struct UploadPlan {
  // In half visits: 2 v is visit v until what it uses has been gathered, 2 v + 1 the rest of it.
  std::vector<Lifetime> uploads;
  // Uploads that start in a visit, before anything is gathered in it, and once all has been.
  struct Starts {
    std::vector<int> first, ahead;
  };
  std::vector<Starts> starts;  // by visit

  // Every gathered life of a group has an upload; two in a row share one where keeping the slice in between takes no more memory than the
  // rest does at its peak (the last units, from forward to backward), and each starts as early as there is room below that peak.
  // `sizes[g]` is the bytes of group g's slice.
  // REQUIRES options.buffer_count >= 1; gathers ahead of use leave a buffer to fetch to: prefetch < buffer_count.
  static UploadPlan of(const Schedule& schedule, const std::vector<int64_t>& sizes, const UploadOptions& options);
};

// Units to gather ahead, of `wanted`, so that the REQUIRES above holds, and none waits for a fetch that has just begun.
int prefetch_with_uploads(int wanted, const UploadOptions& options);

}  // namespace zerorun
