// `zerorun bench offload`: a configuration's training and inference with nothing asleep, with moves that the computation waits for, and with
// moves beside it: memory predicted and measured, time, and what bounded it.
#pragma once
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "comm/mpi_session.h"
#include "launcher/rates.h"
#include "launcher/report.h"
#include "launcher/settings.h"
#include "launcher/step_time.h"

namespace zerorun {

struct OffloadBenchOptions {
  std::string config;
  std::vector<Override> overrides;
  int64_t steps = 3;  // that are timed, after one that is not
  bool json = false;
};

// `bench offload` and its options, after the program's name. Throws Error(usage), one line with the hint to --help.
OffloadBenchOptions parse_offload_bench_options(int argc, const char* const* argv);

struct OffloadRow {
  enum class Mode { none, blocked, overlapped };
  bool trains = true;
  Mode mode = Mode::none;
  RankMemory memory;                  // of the rank that took most
  ByResource amounts;                 // of a step
  ByResource busy;                    // seconds of a step during which a resource works; on a GPU none, of which the host sees the launching
  double seconds = 0;                 // of a step, median
  std::optional<StepTime> predicted;  // from the rates
  std::string not_run;                // why
};

const char* name_of(OffloadRow::Mode mode);

struct OffloadBench {
  const Settings& settings;
  int64_t parameters = 0;
  int ranks = 1, threads = 1;
  std::string device = "cpu";
  int64_t steps = 0;
  Computation computation;
  Rates rates;
  std::vector<OffloadRow> rows;
};

// What kept the step longest: the resource that worked longest, or where that is not known what would by the rates.
inline Resource bounded_by(const OffloadRow& row) {
  const auto longest = largest_of(row.busy);
  return row.busy[longest] > 0 || !row.predicted ? longest : row.predicted->bounded_by();
}

std::string offload_bench_table(const OffloadBench& bench);
std::string offload_bench_json(const OffloadBench& bench);  // ended

// Collective. Where the file lets nothing sleep, parameters and optimizer do, in host memory. A row for which the machine has no room is predicted and
// not run. Rates are those of rates_path() where they are of this machine and complete, else they are measured.
void run_offload_bench(const OffloadBenchOptions& options, Settings settings, MpiSession& session, std::ostream& out);

}  // namespace zerorun
