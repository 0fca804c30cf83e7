// `zerorun bench inference`: how long a configuration's model takes for a prompt and for each token after it, the memory of that, predicted and measured, and how many
// tokens' keys and values fit beside it.
#pragma once
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "comm/mpi_session.h"
#include "launcher/latency.h"
#include "launcher/report.h"
#include "launcher/settings.h"

namespace zerorun {

struct InferenceBenchOptions {
  std::string config;
  std::vector<Override> overrides;
  std::optional<int64_t> prompt_tokens;  // of each sample; none: 512, or what the model's positions leave
  int64_t new_tokens = 50;               // of each sample; the first comes from the prompt's pass
  int64_t batch = 1;                     // samples of a request
  int64_t requests = 10;                 // that count, after one that does not
  std::optional<int64_t> memory;         // bytes of each rank, for all that it holds; none: what there is
  bool json = false;
};

// `bench inference` and its options, after the program's name. Throws Error(usage), one line with the hint to --help.
InferenceBenchOptions parse_inference_bench_options(int argc, const char* const* argv);

// Throws Error(configuration) where prompt and new tokens are more than the model has positions.
int64_t prompt_tokens_of(const InferenceBenchOptions& options, int64_t positions);

// In seconds, by request, and within it by token.
struct InferenceTimes {
  std::vector<double> prefill;  // of a prompt, to the first new token
  std::vector<double> decode;   // of each token after it
  std::vector<double> decodes;  // all those of a request; none where a request has one new token
  std::vector<double> request;

  void add(double prefill_seconds, const std::vector<double>& decode_seconds);
};

// What there is for keys and values, of one rank, bytes.
struct CacheBudget {
  int rank = 0;
  bool of_gpu = false;          // whose memory it is
  int64_t memory = 0;           // for all that the rank holds
  int64_t weights = 0;          // in that memory: of a rank on a processor also what sleeps there
  int64_t peak = 0;             // what it held at most beside weights and cache
  int64_t bytes_per_token = 0;  // of cache

  int64_t bytes() const { return memory - weights - peak; }
  int64_t tokens() const { return bytes() > 0 && bytes_per_token > 0 ? bytes() / bytes_per_token : 0; }
};
// From what the rank held with `cache_bytes` of cache: on a GPU in use of it, else the process's peak.
CacheBudget cache_budget(const RankMemory& measured, int64_t memory, int64_t cache_bytes, int64_t bytes_per_token);

struct InferenceBench {
  const Settings& settings;
  const InferenceBenchOptions& options;
  int64_t prompt_tokens = 0, parameters = 0;
  int ranks = 1, threads = 1;
  std::string device, dtype;
  std::vector<RankMemory> memory;  // every rank's
  int64_t cache_bytes = 0;         // of a rank
  CacheBudget budget;              // of the rank that has least
  InferenceTimes times;            // of rank 0, what it waited for others included

  int64_t positions() const { return prompt_tokens + options.new_tokens - 1; }  // of a sample's cache
};

// Lines of up to 100 columns, each ended.
std::string inference_bench_table(const InferenceBench& bench);
std::string inference_bench_json(const InferenceBench& bench);  // ended

// Collective. All ranks go on with the same prompts, of random tokens. Throws what prompt_tokens_of throws, what open_pretrained throws, and Error(out_of_memory) as
// refuse_if_over does.
void run_inference_bench(const InferenceBenchOptions& options, Settings settings, MpiSession& session, std::ostream& out);

}  // namespace zerorun
