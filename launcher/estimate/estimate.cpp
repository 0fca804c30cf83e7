#include "launcher/estimate/estimate.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <ostream>

#include "core/architectures/catalogue.h"
#include "core/model.h"
#include "core/nearest_name.h"
#include "core/weights/architecture_config.h"
#include "launcher/build.h"
#include "launcher/estimate/exact_stage.h"
#include "launcher/machine.h"
#include "launcher/prediction.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

Architecture named(const std::string& name) {
  auto found = find_architecture(name);
  if (found) return *std::move(found);
  const auto names = architecture_names();
  fail_usage("estimate: unknown --model {}{}; known: {}", name, did_you_mean(name, names), fmt::join(names, ", "));
}

std::optional<Architecture> model_of(const EstimateOptions& options) {
  if (!options.model.empty()) return named(options.model);
  if (!options.hf.empty()) return read_architecture(options.hf);
  return std::nullopt;
}

// Of the run that is asked for, as a configuration would have it.
Settings settings_of(const EstimateOptions& options, int64_t seq_len) {
  Settings settings;
  settings.training.steps = 1;
  settings.training.micro_batch_size = options.micro_batch;
  settings.training.global_batch_size = options.micro_batch * options.ranks();
  settings.training.seq_len = seq_len;
  settings.precision.param_dtype = options.param_dtype;
  settings.precision.reduce_dtype = options.reduce_dtype;
  settings.run.device = options.device;
  settings.metrics.export_hf = false;
  return settings;
}

std::vector<DryRunRow> dry_runs(const EstimateOptions& options, const Model& model, int64_t seq_len) {
  const bool gpu = options.device == Settings::Device::cuda;
  Baseline baseline;
  if (gpu) baseline.gpu.emplace();
  const RunShape shape{.ranks = options.ranks(), .readers = gpu && options.ranks() > 1 ? Readers::gpus : Readers::owner, .device = gpu ? Side::gpu : Side::host};
  std::vector<DryRunRow> rows;
  for (const bool recompute : {false, true}) {
    for (int stage = 0; stage <= 3; ++stage) {
      Settings settings = settings_of(options, seq_len);
      settings.zero_optimization.stage = stage;
      if (recompute) settings.activation_checkpoint.mode = Settings::Checkpointing::full;
      rows.push_back({stage, recompute, predicted_memory(predict(settings, model, shape, 0), model, {baseline}).front()});
    }
  }
  return rows;
}

std::array<ExactStage, 4> exact_stages(const Architecture& model, const EstimateOptions& options) {
  const Precision precision{dtype_of(options.param_dtype), options.reduce_dtype == Settings::ReduceDtype::fp32 ? at::kFloat : at::kBFloat16};
  std::array<ExactStage, 4> stages;
  for (int stage = 0; stage < 4; ++stage) stages[stage] = exact_stage(*model.model, stage, options.ranks(), precision);
  return stages;
}

void estimate_whole(Estimate& estimate, const Architecture& model, const ActivationSizes& sizes) {
  const auto& options = estimate.options;
  estimate.inference = inference_memory(model, sizes, options.slots, options.bandwidth);
  if (model.not_trained.empty()) estimate.dry_runs = dry_runs(options, *model.model, estimate.seq_len);
}

}  // namespace

Estimate make_estimate(const EstimateOptions& options) {
  using Compat = EstimateOptions::Compat;
  Estimate estimate;
  estimate.options = options;
  estimate.model = model_of(options);
  const auto& model = estimate.model;
  estimate.parameters = options.parameters ? options.parameters : model->parameters;
  estimate.formulas = zero_formulas(estimate.parameters, options);
  if (model) {
    estimate.seq_len = options.seq_len.value_or(std::min(model->positions, EstimateOptions::kUsualSeqLen));
    if (estimate.seq_len > model->positions) fail_usage("estimate: --seq-len {} exceeds the {} positions of {}", estimate.seq_len, model->positions, model->name);
  }
  if (options.compat == Compat::deepspeed) {
    estimate.deepspeed = DeepSpeedCase{.stage = options.stage, .parameters = estimate.parameters, .largest_module = model ? model->largest_module_parameters : options.largest_layer,
                                       .gpus_per_node = options.gpus_per_node, .nodes = options.nodes};
  }
  if (!model) return estimate;
  const ActivationSizes sizes{estimate.seq_len, options.micro_batch, options.parameter_bytes()};
  if (options.compat == Compat::formulas) {
    estimate.published = published_figures(*model, estimate.parameters, sizes);
    return estimate;
  }
  estimate.exact = exact_stages(*model, options);
  estimate.activations = activation_formulas(*model, sizes);
  if (options.compat == Compat::none) estimate_whole(estimate, *model, sizes);
  return estimate;
}

void print_estimate(const EstimateOptions& options, std::ostream& out) {
  const auto estimate = make_estimate(options);
  if (options.json) {
    out << estimate_json(estimate) << '\n';
  } else {
    out << estimate_table(estimate);
  }
}

}  // namespace zerorun
