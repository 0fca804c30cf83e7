#include "launcher/process_peak.h"

#include <atomic>

#include "core/memory.h"
#include "launcher/machine.h"

namespace zerorun {
namespace {

std::atomic<int64_t> highest{0};

void sample(int64_t = 0) {
  const int64_t now = process_anonymous_bytes() + shared_bytes();
  int64_t before = highest.load();
  while (now > before && !highest.compare_exchange_weak(before, now)) {
  }
}

}  // namespace

ProcessPeak::ProcessPeak() {
  highest = 0;
  observe_peaks(sample);
}

ProcessPeak::~ProcessPeak() { observe_peaks(nullptr); }

int64_t ProcessPeak::bytes() const {
  sample();
  return highest;
}

}  // namespace zerorun
