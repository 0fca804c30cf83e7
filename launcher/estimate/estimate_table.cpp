#include <algorithm>
#include <utility>

#include "core/error.h"
#include "launcher/estimate/estimate_report.h"

namespace zerorun {
namespace {

class Table {
 public:
  explicit Table(const Estimate& estimate) : estimate_(estimate), options_(estimate.options) {}

  std::string heading() const;
  std::string states() const;
  std::string exact_states() const;
  std::string traffic() const;
  std::string slots() const;
  std::string dry_runs() const;
  std::string activations() const;
  std::string inference() const;
  std::string published() const;
  std::string deepspeed() const;

 private:
  const char* unit() const { return options_.decimal ? "GB" : "GiB"; }
  std::string in_unit(int64_t bytes) const { return fmt::format("{:.2f}", static_cast<double>(bytes) / (options_.decimal ? 1e9 : 1 << 30)); }
  std::string row(const std::string& name, const std::string& formula, int64_t bytes) const {
    return fmt::format("  {:<33}{:<26}{:>23}{:>14}\n", name, formula, with_commas(bytes), in_unit(bytes));
  }
  std::string row_heading(const char* what) const { return fmt::format("{:<35}{:<26}{:>23}{:>14}\n", what, "formula", "bytes", unit()); }
  std::string sizes() const;

  const Estimate& estimate_;
  const EstimateOptions& options_;
};

std::string Table::sizes() const {
  return fmt::format("{} sample{} of {} tokens a rank", with_commas(options_.micro_batch), options_.micro_batch == 1 ? "" : "s", with_commas(estimate_.seq_len));
}

std::string Table::heading() const {
  const auto& model = estimate_.model;
  std::string text;
  if (model) {
    text = fmt::format("{} ({})\n{} parameters, {} of them the largest module's\n", model->name, model->family, with_commas(model->parameters),
                       with_commas(model->largest_module_parameters));
    if (model->active_parameters != model->parameters) text += fmt::format("a token is computed with {} of them\n", with_commas(model->active_parameters));
    text += model->not_trained.empty() ? "zerorun trains this model\n" : fmt::format("zerorun can estimate this model, but not train it: {}\n", model->not_trained);
  } else {
    text = fmt::format("{} parameters\n", with_commas(estimate_.parameters));
  }
  text += fmt::format("{} rank{}, {}, gradients in {}, AdamW{}{}; {} = {} bytes\n\n", options_.ranks(), options_.ranks() == 1 ? "" : "s", name_of(options_.param_dtype),
                      options_.gradient_bytes() == 4 ? "fp32" : "bf16", model ? "; " : "", model ? sizes() : "", unit(), options_.decimal ? "1e9" : "2^30");
  return text;
}

std::string Table::states() const {
  std::string text = row_heading("states of a rank, by formula");
  for (int stage = 0; stage < 4; ++stage) {
    const auto& formula = estimate_.formulas[stage];
    text += row(fmt::format("stage {}", stage), formula.states_formula, formula.states());
  }
  return text + "  P parameters, N ranks; parameters + gradients + optimizer, bytes each\n\n";
}

std::string Table::exact_states() const {
  std::string text = fmt::format("{:<11}{:>20}{:>20}{:>20}{:>15}{:>13}\n", "in zerorun", "parameters", "gradients", "optimizer", "incl. padding", fmt::format("all, {}", unit()));
  for (int stage = 0; stage < 4; ++stage) {
    const auto& exact = (*estimate_.exact)[stage];
    text += fmt::format("  stage {:<3}{:>20}{:>20}{:>20}{:>15}{:>13}\n", stage, with_commas(exact.parameters), with_commas(exact.gradients), with_commas(exact.optimizer),
                        with_commas(exact.padding), in_unit(exact.states()));
  }
  return text + "\n";
}

std::string Table::traffic() const {
  std::string text = fmt::format("{:<11}{:<12}{:>19}{:>12}", "sent", "formula", "bytes", unit());
  if (estimate_.exact) text += fmt::format("{:>22}{:>20}", "zerorun's reduction", "all-gather");
  text += "\n";
  for (int stage = 0; stage < 4; ++stage) {
    const auto& formula = estimate_.formulas[stage];
    text += fmt::format("  stage {:<3}{:<12}{:>19}{:>12}", stage, formula.traffic_formula, with_commas(formula.sent()), in_unit(formula.sent()));
    if (estimate_.exact) {
      const auto& exact = (*estimate_.exact)[stage];
      text += fmt::format("{:>22}{:>20}", with_commas(exact.all_reduce + exact.reduce_scatter), with_commas(exact.all_gather));
    }
    text += "\n";
  }
  text += "  by a rank in a step of one micro-batch, times (N-1)/N: 2P, 2P, 2P, 3P elements at most\n";
  if (estimate_.exact) text += "  zerorun gathers embedding and head once a step, and sends what aligns parameters and slices\n";
  return text + "\n";
}

std::string Table::slots() const {
  const auto& exact = (*estimate_.exact)[3];
  return row_heading("beside the states, at stage 3") + row("gathered units, one ahead", "", exact.gathered) + row("gradients on their way", "", exact.gradient_slots) + "\n";
}

std::string Table::dry_runs() const {
  std::string text = fmt::format("{:<28}{:>18}{:>18}{:>20}{:>12}\n", "a whole step, by dry run", "activations", "slots, scratch", "total bytes", unit());
  for (const auto& [stage, recompute, memory] : estimate_.dry_runs) {
    const auto of = [&](Category category) { return memory.categories[static_cast<int>(category)].predicted; };
    text += fmt::format("  {:<26}{:>18}{:>18}{:>20}{:>12}\n", fmt::format("stage {}{}", stage, recompute ? ", recompute" : ""), with_commas(of(Category::activations)),
                        with_commas(of(Category::gathered) + of(Category::communication) + of(Category::workspace)), with_commas(memory.total.predicted),
                        in_unit(memory.total.predicted));
  }
  return text + fmt::format("  on a {}; peaks of each kind, and of all at one moment\n\n", options_.device == Settings::Device::cpu ? "CPU, one thread a rank" : "GPU");
}

std::string Table::activations() const {
  const auto& blocks = estimate_.model->blocks;
  std::string text = row_heading("activations of a step, by formula");
  for (const auto& activation : estimate_.activations) text += row(activation.name, activation.formula, activation.bytes);
  return text + fmt::format("  s {}, b {}, h {}, a {}, n {} key-value heads, d {}, i {}{}, L {}\n  these are bytes already, not to be doubled for 16 bits\n\n", estimate_.seq_len,
                            options_.micro_batch, blocks.hidden, blocks.heads, blocks.key_value_heads, blocks.head_dim, blocks.inner,
                            blocks.experts_of_token > 1 ? fmt::format(", k {}", blocks.experts_of_token) : "", blocks.layers);
}

std::string Table::inference() const {
  const auto& memory = *estimate_.inference;
  const int64_t element = options_.parameter_bytes();
  std::string text = row_heading("inference on one device") + row("weights", fmt::format("{}P", element), memory.weights) +
                     row("KV cache", fmt::format("2Lnd x {} sb", element), memory.kv_cache) + row("activations alive at a time", "", memory.activations) +
                     row("logits of the last position", "4bV", memory.logits) + row("total", "", memory.total()) +
                     row("weights asleep, blocks streamed", fmt::format("{} slots", options_.slots), memory.streamed_weights) + row("total, streamed", "", memory.streamed_total());
  text += fmt::format("  the cache takes {} bytes a token\n", with_commas(memory.kv_bytes_per_token));
  if (memory.tokens_per_second > 0) {
    text += fmt::format("  at {:.4g} bytes/s decoding gives at most {:.4g} tokens/s ({:.3g} ms a token)\n", options_.bandwidth, memory.tokens_per_second, 1e3 * memory.seconds_per_token);
  }
  return text;
}

std::string Table::published() const {
  std::string text = fmt::format("{}\n{} parameters, here {}; {}\n\n{:<27}{:<20}{:>15}{:>23}{:>13}\n", estimate_.model->name, with_commas(estimate_.model->parameters),
                                 with_commas(estimate_.parameters), sizes(), "as commonly published", "formula", "published GB", "right bytes", unit());
  for (const auto& figure : estimate_.published) {
    text += fmt::format("  {:<25}{:<20}{:>15.2f}{:>23}{:>13}\n", figure.name, figure.formula, figure.published, figure.right ? with_commas(*figure.right) : "",
                        figure.right ? in_unit(*figure.right) : "");
  }
  text +=
      "  published GB are 2^30 bytes\n\nWhat is wrong with them\n"
      "  - the formulas of activations are bytes in 16 bits already: \"multiply by 2 for FP16\" doubles them\n"
      "  - a layer's figure was rounded to two digits before it was multiplied by the layers; \"per layer\"\n"
      "    stands over L(34sbh+5as^2b), which is of all layers\n"
      "  - inference keeps nothing for backward: what is alive at one moment, and the KV cache\n"
      "  - the formulas are of GELU over 4h, a head for each key, and dropout; without --compat there are\n"
      "    rows of SwiGLU and grouped keys\n"
      "  - 14P counts the gradients with the optimizer; P was rounded\n";
  return text;
}

std::string Table::deepspeed() const {
  const auto& asked = *estimate_.deepspeed;
  std::string text = deepspeed_text(asked) + "\n";
  if (estimate_.exact) {
    const auto& exact = (*estimate_.exact)[asked.stage];
    const bool shards = asked.stage == 3;
    text += fmt::format("{:<26}{:>18}{:>19}{:>18}{:>18}\n", "of a GPU, bytes", "by DeepSpeed", "zerorun's states", "gathered units", "gradient slots");
    int64_t last = -1;
    for (const auto& row : deepspeed_rows(asked)) {
      if (row.gpu_bytes == std::exchange(last, row.gpu_bytes)) continue;
      const int64_t states = row.offload_param ? 0 : row.offload_optimizer ? exact.parameters : exact.states();
      const std::string asleep = row.offload_param ? "parameters, optimizer cpu" : row.offload_optimizer ? "optimizer cpu" : "nothing offloaded";
      text += fmt::format("{:<26}{:>18}{:>19}{:>18}{:>18}\n", asleep, with_commas(row.gpu_bytes), with_commas(states), with_commas(shards ? exact.gathered : 0),
                          with_commas(exact.gradient_slots));
    }
    const bool gated = estimate_.model->blocks.gated;
    const auto kept = [&](const std::string& key) {
      const auto found = std::ranges::find(estimate_.activations, key, &ActivationRow::key);
      return fmt::format("{} bytes ({} {})", with_commas(found->bytes), in_unit(found->bytes), unit());
    };
    if (shards) text += "where parameters sleep, slices of two units are on the GPU beside\n";
    text += fmt::format("activations, {}: {} by formula,\n{} where all is recomputed\n\n", sizes(), kept(gated ? "swiglu" : "gpt_flash_attention"),
                        kept(gated ? "swiglu_full_recompute" : "gpt_full_recompute"));
  }
  text += "What it leaves out: activations, fragmented memory, and DeepSpeed's own working set, by default\n";
  if (asked.stage == 3) {
    text +=
        "stage3_max_live_parameters 1e9 (1.86 GiB in 16 bits), stage3_prefetch_bucket_size 5e7,\n"
        "reduce_bucket_size 5e8, and what is smaller than stage3_param_persistence_threshold 1e5.\n"
        "It takes the largest module's own tensors, mostly the embedding, for what is gathered at a time; a\n"
        "transformer's unit of gathering is a block, or the embedding or head, whichever is largest.\n"
        "zero_init says whether zero.Init partitions modules while they are built: host memory alone changes.\n";
  } else {
    text += "reduce_bucket_size 5e8 and allgather_bucket_size 5e8.\n";
  }
  return text + "\"per CPU\" is of a node, with a reserve of 1.5 over it; GB is 2^30 bytes.\n";
}

}  // namespace

std::string estimate_table(const Estimate& estimate) {
  const Table table(estimate);
  if (estimate.deepspeed) return table.deepspeed();
  if (!estimate.published.empty()) return table.published();
  std::string text = table.heading() + table.states();
  if (estimate.exact) text += table.exact_states();
  text += table.traffic();
  if (estimate.exact) text += table.slots();
  if (!estimate.dry_runs.empty()) text += table.dry_runs();
  if (!estimate.activations.empty()) text += table.activations();
  if (estimate.inference) text += table.inference();
  return text;
}

}  // namespace zerorun
