// Runs whose memory is predicted, and measured.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "tests/zero/world.h"
#include "zero/dry_run.h"

namespace zerorun::testing {

inline constexpr int kShapeCount = 4;
inline constexpr int kWideHead = kShapeCount;  // a LLaMA whose heads are wider than 256

struct Case {
  int shape, stage, ranks, threads;
  bool tied;
  int micro_batches = 1;
  bool strict = false;
  bool llama = false;
  Precision precision = {};
  bool recompute = false;
  bool on_one_host = false;
  bool updated_early = false;
  OffloadOptions offload = {};
};

std::string name_of_case(const ::testing::TestParamInfo<Case>& info);
Model model_of(const Case& c);
DryRunOptions options_of(const Case& c);

// Of rank `rank`, in a run of the same workload. So many bytes are lost in each step.
struct MeasuredRun {
  MemoryUsage memory;
  StepWork step;  // the last
  Traffic traffic;
};
MeasuredRun measure(const Case& c, const Model& model, const Optimizer& optimizer, int rank, int64_t leaked_bytes = 0);

// Of the last rank, every category, the totals, and what a step has to do; nothing in the process is without a scope.
void expect_exact_prediction(const Case& c);

}  // namespace zerorun::testing
