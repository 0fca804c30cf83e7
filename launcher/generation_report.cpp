#include "launcher/generation_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/error.h"

namespace zerorun {

double percentile(std::vector<double> values, double share) {
  ZR_CHECK(!values.empty() && share > 0 && share <= 1, "the share {} of {} values", share, values.size());
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(std::ceil(share * static_cast<double>(values.size()))) - 1];
}

std::string generation_json(const GenerationReport& report) {
  const auto& seconds = report.decode_seconds;
  const double total = std::accumulate(seconds.begin(), seconds.end(), 0.0), count = static_cast<double>(seconds.size());
  nlohmann::ordered_json json{{"ranks", report.ranks},
                              {"prompt", report.prompt},
                              {"tokens", report.tokens},
                              {"stopped", report.context_full ? "context full" : "max tokens"},
                              {"cache_bytes", report.cache_bytes},
                              {"prefill_seconds", report.prefill_seconds},
                              {"decode_seconds", total},
                              {"decode_tokens_per_second", nullptr},
                              {"decode_step_seconds", nullptr}};
  if (!seconds.empty()) {
    json["decode_tokens_per_second"] = count / total;
    json["decode_step_seconds"] = {
        {"mean", total / count}, {"p50", percentile(seconds, 0.5)}, {"p90", percentile(seconds, 0.9)}, {"p99", percentile(seconds, 0.99)}};
  }
  return json.dump();
}

}  // namespace zerorun
