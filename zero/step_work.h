// What a rank has to do for one step, whatever it takes: what the time of a step is reckoned from.
#pragma once
#include <cstdint>
#include <functional>

#include "core/operation_count.h"
#include "offload/offloader.h"

namespace zerorun {

struct PhaseWork {
  OperationCount operations;
  OffloadTraffic moves;
  int64_t updated = 0;    // elements whose optimizer sleeps: they are updated beside the computation
  int64_t sent = 0;       // bytes, to the other ranks (Traffic::bytes_moved)
  bool operator==(const PhaseWork&) const = default;
};

// What was sent so far, where somebody counts.
using SentBytes = std::function<int64_t()>;

// Adds to `sent` what is sent while it lives.
class SentScope {
 public:
  SentScope(const SentBytes& counted, int64_t& sent) : counted_(counted), sent_(sent), before_(counted ? counted() : 0) {}
  ~SentScope() {
    if (counted_) sent_ += counted_() - before_;
  }
  SentScope(const SentScope&) = delete;
  SentScope& operator=(const SentScope&) = delete;

 private:
  const SentBytes& counted_;
  int64_t& sent_;
  const int64_t before_;
};

struct StepWork {
  PhaseWork forward;    // with the updates of the step before, of what sleeps
  PhaseWork backward;
  int64_t updated = 0;  // elements that are updated on the device, by who computes
  int64_t published = 0;  // bytes, to the other ranks, after that
  bool operator==(const StepWork&) const = default;
};

StepWork difference(const StepWork& more, const StepWork& less);
// work + times more; what does not fit 64 bits is the most that does.
StepWork sum(const StepWork& work, const StepWork& more, int64_t times);

}  // namespace zerorun
