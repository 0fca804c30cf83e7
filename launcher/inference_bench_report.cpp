#include <fmt/format.h>

#include <array>

#include "launcher/inference_bench.h"
#include "launcher/report_json.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

// What was timed n times.
struct Phase {
  const char* name;
  Latencies latencies;
  int64_t tokens;  // of one

  double tokens_per_second() const { return static_cast<double>(latencies.n * tokens) / latencies.total; }
};

std::array<Phase, 4> phases_of(const InferenceBench& bench) {
  const auto& [times, samples, new_tokens] = std::tie(bench.times, bench.options.batch, bench.options.new_tokens);
  return {{{"prefill", latencies_of(times.prefill), samples * bench.prompt_tokens},
           {"decode", latencies_of(times.decode), samples},
           {"decodes", latencies_of(times.decodes), samples * (new_tokens - 1)},
           {"request", latencies_of(times.request), samples * new_tokens}}};
}

template <typename Text>
std::string line_of(const char* name, const std::array<Phase, 4>& phases, Text text) {
  std::string line = fmt::format("  {:<12}", name);
  for (const auto& phase : phases) line += fmt::format(" {:>16}", phase.latencies.n > 0 ? text(phase) : "-");
  return line + "\n";
}

std::string latency_table(const std::array<Phase, 4>& phases) {
  std::string text = fmt::format("{:<14}", "latency");
  for (const auto& phase : phases) text += fmt::format(" {:>16}", phase.name);
  text += "\n" + line_of("n", phases, [](const Phase& phase) { return fmt::format("{}", phase.latencies.n); });
  text += line_of("total s", phases, [](const Phase& phase) { return fmt::format("{:.6f}", phase.latencies.total); });
  const auto milliseconds = [&](const char* name, double Latencies::*which) {
    return line_of(name, phases, [which](const Phase& phase) { return fmt::format("{:.3f}", 1e3 * (phase.latencies.*which)); });
  };
  text += milliseconds("mean ms", &Latencies::mean);
  text += line_of("std ms (%)", phases, [](const Phase& phase) {
    return fmt::format("{:.3f} ({:.2f} %)", 1e3 * phase.latencies.deviation, phase.latencies.deviation_percent());
  });
  text += milliseconds("p50 ms", &Latencies::p50) + milliseconds("p90 ms", &Latencies::p90) + milliseconds("p95 ms", &Latencies::p95) + milliseconds("p99 ms", &Latencies::p99);
  return text + line_of("tokens/s", phases, [](const Phase& phase) { return fmt::format("{:.1f}", phase.tokens_per_second()); });
}

Json json_of(const Phase& phase) {
  const auto& all = phase.latencies;
  if (all.n == 0) return nullptr;
  return {{"n", all.n},     {"total", all.total}, {"mean", all.mean}, {"std", all.deviation}, {"std_percent", all.deviation_percent()},
          {"p50", all.p50}, {"p90", all.p90},     {"p95", all.p95},   {"p99", all.p99},       {"tokens_per_second", phase.tokens_per_second()}};
}

const char* source_of(const InferenceBench& bench) {
  if (bench.options.memory) return "--memory";
  return bench.budget.of_gpu ? "of the GPU" : "what the host had for it";
}

std::string budget_table(const InferenceBench& bench) {
  const auto& budget = bench.budget;
  const auto line = [](const char* name, int64_t bytes, const std::string& what) { return fmt::format("  {:<18} {:>11}   {}\n", name, readable_bytes(bytes), what); };
  const int64_t tokens = budget.tokens(), requests = tokens / (bench.options.batch * bench.positions());
  return fmt::format("keys and values of rank {}\n", budget.rank) +
         line("of a request", bench.cache_bytes, fmt::format("{} x {} positions of {} bytes", bench.options.batch, bench.positions(), budget.bytes_per_token)) +
         line("memory", budget.memory, source_of(bench)) + line("- weights", budget.weights, budget.of_gpu ? "parameters on the GPU" : "parameters, those asleep in host memory too") + line("- peak beside them", budget.peak, "of this run, without the cache") +
         line("= budget", budget.bytes(), fmt::format("{} tokens, {} such request{} at a time", tokens, requests, requests == 1 ? "" : "s"));
}

std::string heading_of(const InferenceBench& bench) {
  const auto& [settings, options] = std::tie(bench.settings, bench.options);
  const auto plural = [](int64_t count) { return count == 1 ? "" : "s"; };
  return fmt::format("{} parameters in {} ({}), stage {}, {} rank{} {}\n", bench.parameters, bench.dtype,
                     settings.model.hf_path ? "of model.hf_path" : "fresh weights", settings.zero_optimization.stage, bench.ranks, plural(bench.ranks),
                     bench.device == "cpu" ? fmt::format("of {} thread{}", bench.threads, plural(bench.threads)) : "on " + bench.device) +
         fmt::format("{} request{} after one that does not count: {} x {} tokens, and {} new one{} each\n\n", options.requests, plural(options.requests), options.batch,
                     bench.prompt_tokens, options.new_tokens, plural(options.new_tokens));
}

}  // namespace

void InferenceTimes::add(double prefill_seconds, const std::vector<double>& decode_seconds) {
  const double all = latencies_of(decode_seconds).total;
  prefill.push_back(prefill_seconds);
  decode.insert(decode.end(), decode_seconds.begin(), decode_seconds.end());
  if (!decode_seconds.empty()) decodes.push_back(all);
  request.push_back(prefill_seconds + all);
}

CacheBudget cache_budget(const RankMemory& measured, int64_t memory, int64_t cache_bytes, int64_t bytes_per_token) {
  const auto bytes_of = [&](Category category) { return measured.categories[static_cast<size_t>(category)].measured; };
  const int64_t taken = measured.gpu ? measured.gpu->used.measured : measured.process_peak.measured;
  CacheBudget budget{.rank = measured.rank, .of_gpu = measured.gpu.has_value(), .memory = memory, .bytes_per_token = bytes_per_token};
  budget.weights = bytes_of(Category::parameters) + (measured.gpu ? 0 : bytes_of(Category::host));
  budget.peak = taken - budget.weights - cache_bytes;
  return budget;
}

std::string inference_bench_table(const InferenceBench& bench) {
  return heading_of(bench) + latency_table(phases_of(bench)) +
         "prefill: a prompt, to its first new token; decode: a token after it, of each sample; decodes: all\n"
         "those of a request; p90: the smallest time that 90 % do not exceed; tokens/s: of prompts, or new\n\n" +
         memory_comparison(bench.memory) + "\n" + budget_table(bench);
}

std::string inference_bench_json(const InferenceBench& bench) {
  const auto& [settings, options, budget] = std::tie(bench.settings, bench.options, bench.budget);
  Json json = {{"parameters", bench.parameters},
               {"dtype", bench.dtype},
               {"weights", settings.model.hf_path ? Json(*settings.model.hf_path) : Json(nullptr)},
               {"stage", static_cast<int>(settings.zero_optimization.stage)},
               {"ranks", bench.ranks},
               {"threads", bench.threads},
               {"device", bench.device},
               {"requests", options.requests},
               {"batch", options.batch},
               {"prompt_tokens", bench.prompt_tokens},
               {"new_tokens", options.new_tokens}};
  for (const auto& phase : phases_of(bench)) json[phase.name] = json_of(phase);
  json["memory"] = Json::array();
  for (const auto& rank : bench.memory) json["memory"].push_back(memory_json(rank, /*measured=*/true));
  json["cache_bytes"] = bench.cache_bytes;
  json["cache_budget"] = {{"rank", budget.rank},   {"memory", budget.memory},           {"weights", budget.weights},
                          {"peak", budget.peak},   {"bytes", budget.bytes()},           {"bytes_per_token", budget.bytes_per_token},
                          {"tokens", budget.tokens()}};
  return json.dump(2) + "\n";
}

}  // namespace zerorun
