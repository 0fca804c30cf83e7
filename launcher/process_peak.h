// The peak of this process's anonymous memory, and of its part of what it shares with others, while it lives. The kernel keeps no such figure, so it is read where it can
// have risen: before the first release after each new peak of counted bytes, when the peak's pages are still resident.
#pragma once
#include <cstdint>

namespace zerorun {

// REQUIRES at most one in a process at a time, and install_counting_allocators() before.
class ProcessPeak {
 public:
  ProcessPeak();
  ~ProcessPeak();
  ProcessPeak(const ProcessPeak&) = delete;
  ProcessPeak& operator=(const ProcessPeak&) = delete;

  int64_t bytes() const;  // samples once more
};

}  // namespace zerorun
