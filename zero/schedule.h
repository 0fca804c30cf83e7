// The order of a pass over the model, as data: which groups are gathered, computed with, released and reduced around
// each visit of a unit. The engine walks it; the slots are planned from it. Every rank has the same one.
#pragma once
#include <vector>

#include "core/model.h"
#include "zero/sharding.h"

namespace zerorun {

// A group occupies a slot from the start of visit `begin` to the end of visit `end`.
struct Lifetime {
  int group;
  int begin;
  int end;
};

// One computation of a unit, and what surrounds it, in this order.
struct Visit {
  int unit;
  bool backward;
  std::vector<int> open;     // groups whose gradient is zeroed: they receive their first part here
  std::vector<int> gather;   // gathered lifetimes whose all-gather starts now: this unit's, and those of units ahead
  std::vector<int> use;      // gathered groups that must have arrived
  std::vector<int> release;  // groups whose gathered weights are no longer needed
  std::vector<int> reduce;   // groups whose gradient is complete on this rank
};

struct Schedule {
  std::vector<Visit> visits;
  std::vector<Lifetime> gathered;   // empty where parameters stay resident
  std::vector<Lifetime> gradients;  // of a group on its way from a unit's backward to where sums are kept

  // Forward through all units, then backward to the first that has something to train. With sharded parameters the gathers
  // run `prefetch` units ahead. A reduce runs while the next unit computes: a gradient slot lives `reduction` visits longer than its
  // last use. REQUIRES a trainable parameter.
  static Schedule training(const Model& model, Sharding sharding, int prefetch, int reduction = 1);
  static Schedule evaluation(const Model& model, Sharding sharding, int prefetch);
};

// Where each lifetime lies in a buffer of `bytes`: lifetimes that meet in time do not meet in space.
struct SlotPlan {
  std::vector<int64_t> offsets;
  int64_t bytes = 0;
};

// Tries a few orders of placement, from one end or from both, and keeps the best: the peak of the schedule where units
// alternate between two slots, rarely one small unit more. `sizes[g]` is the bytes of group g.
SlotPlan plan_slots(const std::vector<Lifetime>& lifetimes, const std::vector<int64_t>& sizes);

}  // namespace zerorun
