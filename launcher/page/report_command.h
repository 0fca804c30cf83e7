// `zerorun report RUN [--out FILE]`: a page of a run that has ended.
#pragma once
#include <iosfwd>
#include <string>

#include "launcher/page/run_files.h"
#include "zero/timeline.h"

namespace zerorun::page {

// Writes RUN/report.html, or `out_path` where it is not empty, and says so on `out`. Throws Error(cannot_create) where something else than an earlier page is
// in that place, Error(io) where the disk is full, and as read_run.
void report(const std::string& folder, const std::string& out_path, std::ostream& out);

// The dry run of the run's step once more, from its configuration, ranks and threads.
struct TimelineOfRun {
  MemoryTimeline timeline;
  std::string note;  // where it is not what the run had foretold
};
TimelineOfRun timeline_of(const RunFiles& run);

}  // namespace zerorun::page
