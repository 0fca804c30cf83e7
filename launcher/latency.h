// What measured times have in common.
#pragma once
#include <cstdint>
#include <vector>

namespace zerorun {

// The value that a share of the values, in (0, 1], does not exceed: the smallest of them (nearest rank), so one that was measured. REQUIRES values.
double percentile(std::vector<double> values, double share);

// In seconds. All 0 of no values.
struct Latencies {
  int64_t n = 0;
  double total = 0, mean = 0;
  double deviation = 0;  // standard, of these values themselves: the root of the mean squared distance from the mean
  double p50 = 0, p90 = 0, p95 = 0, p99 = 0;

  double deviation_percent() const { return mean > 0 ? 100 * deviation / mean : 0; }  // of the mean
};
Latencies latencies_of(const std::vector<double>& seconds);

}  // namespace zerorun
