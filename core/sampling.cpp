#include "core/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace zerorun {
namespace {

constexpr double kHottest = 1e4;

// In (0, 1), 53 bits.
double uniform(uint64_t seed, int64_t sample, int64_t position) {
  const uint64_t stream = stream_of("sampling");
  const auto words = philox4x32_10({static_cast<uint32_t>(position), static_cast<uint32_t>(sample), static_cast<uint32_t>(stream),
                                    static_cast<uint32_t>(stream >> 32)},
                                   {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = (uint64_t{words[0]} << 32 | words[1]) >> 11;
  return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

// The ids that may be drawn, the likeliest first where it matters.
std::vector<int64_t> candidates(std::span<const float> logits, const Sampling& sampling) {
  std::vector<int64_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), int64_t{0});
  const bool cuts = sampling.top_k > 0 && sampling.top_k < std::ssize(ids);
  if (!cuts && sampling.top_p >= 1) return ids;
  const auto end = ids.begin() + (cuts ? sampling.top_k : std::ssize(ids));
  std::partial_sort(ids.begin(), end, ids.end(), [&](int64_t a, int64_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  });
  ids.erase(end, ids.end());
  return ids;
}

}  // namespace

void Sampling::validate() const {
  if (!(temperature >= 0 && temperature <= kHottest)) fail(ErrorKind::usage, "temperature is {}, expected 0 (greedy) to {}", temperature, kHottest);
  if (top_k < 0) fail(ErrorKind::usage, "top-k is {}, expected 1 or more, or 0 for all tokens", top_k);
  if (!(top_p > 0 && top_p <= 1)) fail(ErrorKind::usage, "top-p is {}, expected above 0 and at most 1", top_p);
}

int64_t draw_token(std::span<const float> logits, const Sampling& sampling, int64_t sample, int64_t position) {
  ZR_CHECK(!logits.empty(), "there are no logits to draw from");
  for (const float logit : logits) {
    if (!std::isfinite(logit)) fail(ErrorKind::non_finite, "the logits of position {} are not finite; the weights are beyond what their dtype can compute with", position);
  }
  const auto best = std::max_element(logits.begin(), logits.end());
  if (sampling.temperature == 0) return best - logits.begin();

  const auto ids = candidates(logits, sampling);
  std::vector<double> weights;
  for (const int64_t id : ids) {
    weights.push_back(std::exp((static_cast<double>(logits[static_cast<size_t>(id)]) - static_cast<double>(*best)) / sampling.temperature));
  }
  double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (sampling.top_p < 1) {
    const double enough = sampling.top_p * total;
    size_t kept = 0;
    for (total = 0; kept < weights.size() && total < enough; ++kept) total += weights[kept];
    weights.resize(kept);
  }
  const double drawn = uniform(sampling.seed, sample, position) * total;
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    sum += weights[i];
    if (drawn < sum) return ids[i];
  }
  return ids[weights.size() - 1];
}

}  // namespace zerorun
