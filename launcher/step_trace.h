// The trace of a run's first steps but one: what this rank's host computes and moves, and where it computes on a GPU, what that does.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "core/gpu/profile.h"
#include "core/trace.h"

namespace zerorun {

class StepTrace {
 public:
  // Of so many steps after the first; 0: none.
  StepTrace(int64_t steps, bool on_gpu) : steps_(steps), on_gpu_(on_gpu) {}

  // Null where nothing is traced.
  Trace* trace() { return steps_ > 0 ? &trace_ : nullptr; }
  void before_step(int64_t step);
  void after_step(int64_t step);
  // After the last step, however many there were. What the user should know of it; else "".
  std::string finish();
  std::string json(int rank) const { return trace_.json(rank); }

 private:
  void end();

  const int64_t steps_;
  const bool on_gpu_;
  Trace trace_;
  std::optional<gpu::Profile> profile_;
  std::string note_;
};

}  // namespace zerorun
