// What a rank has to do for one step, whatever it takes: what the time of a step is reckoned from.
#pragma once
#include <cstdint>
#include <functional>

#include "comm/counting_communicator.h"
#include "core/operation_count.h"
#include "offload/offloader.h"

namespace zerorun {

struct PhaseWork {
  OperationCount operations;
  OffloadTraffic moves;
  int64_t updated = 0;    // elements whose optimizer sleeps: they are updated beside the computation
  MovedBytes sent;
  bool operator==(const PhaseWork&) const = default;
};

// What was sent so far, where somebody counts.
using SentBytes = std::function<MovedBytes()>;

// Adds to `sent` what is sent while it lives.
class SentScope {
 public:
  SentScope(const SentBytes& counted, MovedBytes& sent) : counted_(counted), sent_(sent), before_(counted ? counted() : MovedBytes()) {}
  ~SentScope() {
    if (!counted_) return;
    const auto now = counted_();
    sent_.gathered += now.gathered - before_.gathered;
    sent_.reduced += now.reduced - before_.reduced;
  }
  SentScope(const SentScope&) = delete;
  SentScope& operator=(const SentScope&) = delete;

 private:
  const SentBytes& counted_;
  MovedBytes& sent_;
  const MovedBytes before_;
};

struct StepWork {
  PhaseWork forward;    // with the updates of the step before, of what sleeps
  PhaseWork backward;
  int64_t updated = 0;  // elements that are updated on the device, by who computes
  MovedBytes published;  // after that
  bool operator==(const StepWork&) const = default;
};

StepWork difference(const StepWork& more, const StepWork& less);
// work + times more; what does not fit 64 bits is the most that does.
StepWork sum(const StepWork& work, const StepWork& more, int64_t times);

}  // namespace zerorun
