// What a run has left in its folder, read.
#pragma once
#include <string>
#include <vector>

#include "launcher/report.h"
#include "launcher/settings.h"
#include "launcher/step_metrics.h"

namespace zerorun::page {

struct RunFiles {
  std::string folder;
  Report report;                   // report.json
  std::vector<StepMetrics> steps;  // metrics.jsonl; at least one
  Settings settings;               // config.yaml
  std::string configuration;       // its text
};

// Throws Error(missing_input) where a file is not there, as of a run that has not ended, Error(bad_data) where one is damaged, with the place and what was
// expected, and Error(configuration) for config.yaml.
RunFiles read_run(const std::string& folder);

}  // namespace zerorun::page
