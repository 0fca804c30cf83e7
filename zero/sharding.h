// Stages are data. Rank r owns slice r of every group at every stage; a Sharding only says what else stays resident.
#pragma once
#include "zero/precision.h"

namespace zerorun {

// True: a rank keeps its own slice, 1/N. False: it keeps the whole. Where gradients or parameters are sharded, so is the
// optimizer: a rank updates what it owns.
struct Sharding {
  bool optimizer = false;
  bool gradients = false;
  bool parameters = false;
  // Each micro-batch's gradient is summed over ranks by itself, and passes through a slot to an accumulator. Otherwise a
  // rank adds its own micro-batches in place, and ranks are summed once.
  bool sums_each = false;

  // Of a ZeRO stage (Rajbhandari et al. 2020). With several micro-batches a stage that keeps slices of gradients has to sum
  // each; in strict mode every stage does, so that its bits are the same, and stage 1 keeps slices then.
  // REQUIRES 0 <= stage <= 3.
  static Sharding of_stage(int stage, int micro_batches = 1, bool strict = false) {
    const bool sums_each = micro_batches > 1 && (strict || stage >= 2);
    return {stage >= 1, stage >= 2 || (sums_each && stage >= 1), stage >= 3, sums_each};
  }
  // Whether a unit's gradient passes through a slot: to a slice that is not the whole, to a sum of its own, or to another dtype.
  bool gradients_use_slots(const Precision& precision, int ranks) const { return (gradients && ranks > 1) || sums_each || precision.converts_gradients(); }
};

}  // namespace zerorun
