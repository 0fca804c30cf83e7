// What a rank has to do for one step, whatever it takes: what the time of a step is reckoned from.
#pragma once
#include <cstdint>

#include "offload/offloader.h"

namespace zerorun {

struct PhaseWork {
  int64_t flops = 0;      // core/flops.h
  OffloadTraffic moves;
  int64_t updated = 0;    // elements whose optimizer sleeps: they are updated beside the computation
  bool operator==(const PhaseWork&) const = default;
};

struct StepWork {
  PhaseWork forward;    // with the updates of the step before, of what sleeps
  PhaseWork backward;
  int64_t updated = 0;  // elements that are updated on the device, by who computes
  bool operator==(const StepWork&) const = default;
};

}  // namespace zerorun
