#include "launcher/generation_report.h"

#include <nlohmann/json.hpp>

#include "launcher/latency.h"

namespace zerorun {

std::string generation_json(const GenerationReport& report) {
  const auto decode = latencies_of(report.decode_seconds);
  nlohmann::ordered_json json{{"ranks", report.ranks},
                              {"prompt", report.prompt},
                              {"tokens", report.tokens},
                              {"stopped", report.context_full ? "context full" : "max tokens"},
                              {"cache_bytes", report.cache_bytes},
                              {"prefill_seconds", report.prefill_seconds},
                              {"decode_seconds", decode.total},
                              {"decode_tokens_per_second", nullptr},
                              {"decode_step_seconds", nullptr}};
  if (decode.n > 0) {
    json["decode_tokens_per_second"] = static_cast<double>(decode.n) / decode.total;
    json["decode_step_seconds"] = {{"mean", decode.mean}, {"p50", decode.p50}, {"p90", decode.p90}, {"p99", decode.p99}};
  }
  return json.dump();
}

}  // namespace zerorun
