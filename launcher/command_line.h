// The command line: what to do, with which file.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "launcher/estimate/estimate_options.h"
#include "launcher/generate_command.h"
#include "launcher/inference_bench.h"
#include "launcher/ladder.h"
#include "launcher/offload_bench.h"
#include "launcher/planner/search_options.h"
#include "launcher/rates.h"
#include "launcher/settings.h"

namespace zerorun {

struct CommandLine {
  enum class Command { train, evaluate, generate, plan, estimate, report, bench, schema, env, help, version };

  Command command = Command::help;
  std::string config;               // report: the run folder
  std::vector<Override> overrides;  // in the order given
  int ranks = 0, hosts = 1;         // plan only
  std::optional<SearchOptions> search = {};  // plan --search
  bool json = false;                // evaluate, plan and env
  std::string out;                  // report: where the page goes; empty: into the run folder
  bool timing = false;              // env
  GenerateCommand generate;
  EstimateOptions estimate = {};
  LadderOptions ladder = {};        // bench ladder
  std::optional<RatesOptions> rates = {};          // bench rates
  std::optional<OffloadBenchOptions> offload = {};  // bench offload
  std::optional<InferenceBenchOptions> inference = {};  // bench inference
};

// `zerorun FILE` is `zerorun train FILE`; `bench ladder`, `bench offload`, `bench inference` and `bench rates` have options of their own. --help and --version win over
// everything else. Throws Error(usage), one line that ends with the hint to `zerorun --help`.
CommandLine parse_command_line(int argc, const char* const* argv);

std::string help_text();
// 0.1.0
std::string version();

}  // namespace zerorun
