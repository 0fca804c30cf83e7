#pragma once
#include <algorithm>
#include <chrono>
#include <limits>

namespace zerorun {

// Of the best of three runs; one before them prepares.
template <typename Body>
double best_seconds(Body&& body) {
  constexpr int kRuns = 3;
  double best = std::numeric_limits<double>::max();
  for (int run = 0; run <= kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    body();
    if (run > 0) best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace zerorun
