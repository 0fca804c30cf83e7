#include "launcher/latency.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace zerorun {

double percentile(std::vector<double> values, double share) {
  ZR_CHECK(!values.empty() && share > 0 && share <= 1, "the share {} of {} values", share, values.size());
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(std::ceil(share * static_cast<double>(values.size()))) - 1];
}

Latencies latencies_of(const std::vector<double>& seconds) {
  if (seconds.empty()) return {};
  Latencies all;
  const double count = static_cast<double>(seconds.size());
  all.n = std::ssize(seconds);
  all.total = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  all.mean = all.total / count;
  double squares = 0;
  for (const double value : seconds) squares += (value - all.mean) * (value - all.mean);
  all.deviation = std::sqrt(squares / count);
  for (const auto& [share, member] : {std::pair(0.5, &Latencies::p50), std::pair(0.9, &Latencies::p90), std::pair(0.95, &Latencies::p95), std::pair(0.99, &Latencies::p99)}) {
    all.*member = percentile(seconds, share);
  }
  return all;
}

}  // namespace zerorun
