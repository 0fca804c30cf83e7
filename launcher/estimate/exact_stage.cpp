#include "launcher/estimate/exact_stage.h"

#include "zero/group_layout.h"
#include "zero/schedule.h"

namespace zerorun {
namespace {

constexpr int kPrefetch = 1;
constexpr int64_t kStateBytes = 8;  // momentum and variance
constexpr int64_t kMasterBytes = 4;

// Of one group, and how many of its elements are padding.
struct Kept {
  const GroupLayout& layout;
  int ranks;

  int64_t elements(bool sharded) const { return sharded ? layout.slice_count() : layout.padded_count(); }
  // Slices are equal, and padding lies in some of them: each has its share, in bytes rounded down.
  int64_t padding_bytes(int64_t bytes, bool sharded) const { return layout.padding() * bytes / (sharded ? ranks : 1); }
};

}  // namespace

ExactStage exact_stage(const Model& model, int stage, int ranks, const Precision& precision) {
  const auto sharding = Sharding::of_stage(stage);
  const int64_t p = precision.parameter_bytes(), g = precision.gradient_bytes(), k = kStateBytes + (precision.has_master() ? kMasterBytes : 0);
  ExactStage found;
  std::vector<int64_t> gathered, slots, sent_whole;
  for (const auto& group : model.groups()) {
    const GroupLayout layout(group, ranks);
    const Kept kept{layout, ranks};
    found.parameters += kept.elements(sharding.parameters) * p;
    found.gradients += kept.elements(sharding.gradients) * g;
    found.optimizer += kept.elements(sharding.optimizer) * k;
    found.padding += kept.padding_bytes(p, sharding.parameters) + kept.padding_bytes(g, sharding.gradients) + kept.padding_bytes(k, sharding.optimizer);
    const int64_t others = layout.padded_count() - layout.slice_count();  // sent by a rank, once around
    if (sharding.optimizer) {
      found.reduce_scatter += others * g;
    } else {
      found.all_reduce += 2 * others * g;
    }
    if (sharding.optimizer && !sharding.parameters) found.all_gather += others * p;
    gathered.push_back(layout.padded_count() * p);
    slots.push_back(layout.padded_count() * precision.gradient_slot_bytes());
    sent_whole.push_back(others * p);
  }
  const bool gathers = sharding.parameters && ranks > 1, gradients_use_slots = sharding.gradients_use_slots(precision, ranks);
  if (!gathers && !gradients_use_slots) return found;
  const auto schedule = Schedule::training(model, sharding, kPrefetch);
  if (gradients_use_slots) found.gradient_slots = plan_slots(schedule.gradients, slots).bytes;
  if (!gathers) return found;
  for (const auto& life : schedule.gathered) found.all_gather += sent_whole[life.group];
  found.gathered = plan_slots(schedule.gathered, gathered).bytes;
  return found;
}

}  // namespace zerorun
