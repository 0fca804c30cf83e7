// What a ladder found, as a table and as JSON.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "launcher/ladder.h"
#include "launcher/report.h"

namespace zerorun {

struct RungResult {
  Rung rung;
  RankMemory memory;      // of the rank that took most; of a rung that was not run only what is predicted
  int threads = 1;        // of a rank
  int process_ranks = 1;  // that share the process, as threads: its peak is of all of them
  double seconds_per_step = 0;
  double last_loss = 0;
  std::string not_run;  // why; empty where it was

  double samples_per_second() const { return static_cast<double>(rung.samples()) / seconds_per_step; }
};

struct Ladder {
  std::string version;
  LadderOptions options;
  int64_t parameters = 0;
  bool is_toy = false;  // the model and the sizes that figures are published for
  std::vector<RungResult> results;
};

// Parameters, gradients, optimizer and slots of gathered units, without what alignment was said to add: what the published
// targets count.
int64_t ladder_states(const RankMemory& memory, int64_t ComparedBytes::*which);

// Lines of up to 120 columns, each ended; bytes in MiB. A row is compared with the first result that was run.
std::string ladder_heading(const Ladder& ladder);
std::string ladder_row(const Ladder& ladder, const RungResult& result);
std::string ladder_legend(const Ladder& ladder);

// No newline at the end.
std::string ladder_json(const Ladder& ladder);

}  // namespace zerorun
