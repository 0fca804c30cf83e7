// What `zerorun estimate` found, as a table and as JSON. Bytes are of one rank, exact.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/architectures/architecture.h"
#include "launcher/estimate/activation_formulas.h"
#include "launcher/estimate/deepspeed_estimator.h"
#include "launcher/estimate/estimate_options.h"
#include "launcher/estimate/inference_memory.h"
#include "launcher/estimate/published_figures.h"
#include "launcher/estimate/zero_formulas.h"
#include "launcher/report.h"

namespace zerorun {

// States and traffic of a stage as zerorun's engine has them, with its padding: every parameter and every slice begins at a multiple of 64 elements.
struct ExactStage {
  int64_t parameters = 0, gradients = 0, optimizer = 0;  // bytes
  int64_t padding = 0;                                   // bytes of these that hold no parameter
  int64_t gathered = 0;        // slots of gathered units, with the next one gathered ahead
  int64_t gradient_slots = 0;  // gradients on their way to where they are summed
  int64_t all_reduce = 0, reduce_scatter = 0, all_gather = 0;  // sent in a step of one micro-batch

  int64_t states() const { return parameters + gradients + optimizer; }
  int64_t sent() const { return all_reduce + reduce_scatter + all_gather; }
};

// The whole of a training step, by the dry run of the engine.
struct DryRunRow {
  int stage = 0;
  bool recompute = false;
  RankMemory memory;
};

struct Estimate {
  EstimateOptions options;
  std::optional<Architecture> model;  // none: a count alone
  int64_t parameters = 0;             // that the formulas are of
  int64_t seq_len = 0;

  std::optional<DeepSpeedCase> deepspeed;  // --compat deepspeed: this, `exact` and `activations` alone
  std::array<ZeroStage, 4> formulas;
  std::optional<std::array<ExactStage, 4>> exact;  // of a model
  std::vector<DryRunRow> dry_runs;                 // of a model that zerorun trains
  std::vector<ActivationRow> activations;          // of a model
  std::optional<InferenceMemory> inference;        // of a model
  std::vector<PublishedFigure> published;          // --compat formulas: this alone
};

// Lines of at most 100 columns, each ended.
std::string estimate_table(const Estimate& estimate);
// No newline at the end.
std::string estimate_json(const Estimate& estimate);

}  // namespace zerorun
