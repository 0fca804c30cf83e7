#include "launcher/page/run_facts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "launcher/page/markup.h"
#include "launcher/page/memory_section.h"
#include "launcher/settings_schema.h"

namespace zerorun::page {
namespace {

std::string figure(const std::string& name, const std::string& big, const std::string& small) {
  return fmt::format("<div><dt>{}</dt><dd class=\"big\">{}</dd><dd class=\"small\">{}</dd></div>\n", name, big, small);
}

std::string number(double value) { return data(value, rounded(value)); }

// As in a configuration file.
std::string value_of(const Settings& settings, std::string_view key) {
  const auto& schema = settings_schema();
  const auto field = std::ranges::find_if(schema, [&](const Field& candidate) { return candidate.key() == key; });
  ZR_CHECK(field != schema.end(), "no key {}", key);
  return escaped(field->write(settings));
}

const char* name_of(Settings::OffloadDevice device) {
  constexpr std::array kNames{"on the device", "in host memory", "on disk"};
  return kNames[static_cast<size_t>(device)];
}

bool on_gpus(const Report& report) { return report.memory.front().gpu.has_value(); }

std::string ranks_in_words(const Report& report) {
  const auto ranks = counted(report.world_size, "rank");
  return on_gpus(report) ? fmt::format("{} on {}", ranks, escaped(report.device)) : fmt::format("{} of {}", ranks, counted(report.threads, "thread"));
}

std::string asleep_in_words(const Settings& settings) {
  std::vector<std::string> parts;
  const auto add = [&](const char* what, Settings::OffloadDevice device) {
    if (device != Settings::OffloadDevice::none) parts.push_back(fmt::format("{} {}", what, name_of(device)));
  };
  add("parameters", settings.zero_optimization.offload_param.device);
  add("optimizer and summed gradients", settings.zero_optimization.offload_optimizer.device);
  add("what blocks read", settings.activation_checkpoint.offload);
  return parts.empty() ? "nothing" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string row(const std::string& name, double value, const std::string& note) {
  return fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"soft\">{}</td></tr>\n", name, data(value, seconds(value)), note);
}

std::string cell(double value) { return value > 0 ? fmt::format("<td>{}</td>", data(value, seconds(value))) : "<td class=\"soft\">\u2013</td>"; }

// What the machine's rates allow: of each resource in each phase.
std::string least_time(const StepTime& time, double median) {
  std::string rows, columns;
  const auto add = [&](const std::string& name, const char* style, auto of_phase) {
    rows += fmt::format("<tr{}><th scope=\"row\">{}</th>", style, name);
    for (size_t phase = 0; phase < kPhaseCount; ++phase) rows += cell(of_phase(phase));
    rows += "</tr>\n";
  };
  const auto all = sum_of(time.seconds);
  for (const auto resource : kResources) {
    if (all[resource] > 0) add(zerorun::name_of(resource), "", [&](size_t phase) { return time.seconds[phase][resource]; });
  }
  add("at least", " class=\"total\"", [&](size_t phase) { return time.of_phase(phase); });
  for (const char* phase : kPhaseNames) columns += fmt::format("<th scope=\"col\">{}</th>", phase);
  return fmt::format("<h3>What the machine's rates allow</h3>\n<p>A step takes at least {}, most of it {}; it took {}. {}{}</p>\n{}",
                     data(time.total(), seconds(time.total())), zerorun::name_of(time.bounded_by()), seconds(median),
                     time.overlaps ? "What works in a phase works side by side, but products and memory, which take turns: the slowest is its time." : "What works in a phase waits for each other.",
                     all[Resource::links] + all[Resource::network] > 0 && !time.gathers_ahead ? " What ranks send comes on top." : "",
                     table("what the machine's rates allow", fmt::format("<tr><th scope=\"col\">resource</th>{}</tr>", columns), rows, "times"));
}

}  // namespace

std::string head(const RunFiles& run, const std::string& model) {
  const auto& report = run.report;
  const auto& steps = report.steps;
  const auto verdict = verdict_of(report);
  const int64_t wanted = run.settings.training.steps;
  std::string html = fmt::format("<p class=\"lead\">{}, with {} parameters, trained for {} on {} at ZeRO stage {}, in {}.{}</p>\n", escaped(model),
                                 data(report.parameters, grouped(report.parameters)), data(steps.count, counted(steps.count, "step")), ranks_in_words(report),
                                 data(static_cast<int64_t>(report.stage), fmt::format("{}", report.stage)), value_of(run.settings, "precision.param_dtype"),
                                 steps.count < wanted ? fmt::format(" It was stopped before the {} steps that were asked for.", grouped(wanted)) : "");
  const auto& worst = *std::ranges::max_element(report.memory, {}, [](const RankMemory& rank) { return rank.total.measured; });
  html += "<dl class=\"figures\">\n";
  html += figure("Loss", number(steps.last_loss), fmt::format("from {} at the first step", number(steps.first_loss)));
  html += figure("Validation loss", steps.last_validation_loss ? number(*steps.last_validation_loss) : "none",
                 steps.last_validation_loss ? "the last" : "was not taken");
  html += figure("Tokens per second", number(steps.tokens_per_second), fmt::format("{} a step, the median", seconds(steps.median_seconds)));
  html += figure("Memory of a rank", data(worst.total.measured, readable(worst.total.measured)),
                 fmt::format("<span class=\"{}\">{} prediction {}</span>, {}", verdict.held ? "good" : "bad", verdict.held ? "\u2713" : "\u2717",
                             verdict.held ? "held" : "missed", verdict.words));
  return html + "</dl>\n";
}

std::string facts(const RunFiles& run, const std::string& model) {
  const auto& report = run.report;
  const auto& settings = run.settings;
  const auto& training = settings.training;
  const int64_t accumulation = training.global_batch_size / (training.micro_batch_size * report.world_size);
  const auto value = [&](const char* key) { return value_of(settings, key); };
  std::string html = "<dl class=\"facts\">\n";
  const auto fact = [&](const char* name, const std::string& text) { html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, text); };
  fact("Folder", fmt::format("<code>{}</code>", escaped(run.folder)));
  fact("Model", escaped(model));
  fact("Ranks", ranks_in_words(report));
  fact("Precision", fmt::format("parameters {}, sums of gradients {}", value("precision.param_dtype"), value("precision.reduce_dtype")));
  fact("Step", fmt::format("{} of {} tokens: {} of {} on each rank", counted(training.global_batch_size, "sequence"), grouped(training.seq_len),
                           accumulation == 1 ? "1 micro-batch" : fmt::format("{} micro-batches", grouped(accumulation)), grouped(training.micro_batch_size)));
  fact("Optimizer", fmt::format("{}, learning rate {}", value("optimizer.name"), rounded(settings.optimizer.lr)));
  fact("Sharding", fmt::format("stage {}, {} gathered ahead", report.stage, counted(settings.zero_optimization.prefetch, "unit")));
  fact("Asleep", asleep_in_words(settings));
  fact("Activations", settings.activation_checkpoint.mode == Settings::Checkpointing::full ? "computed again in backward" : "kept until backward");
  fact("Seed", fmt::format("{}, {}", value("run.seed"), value("run.determinism")));
  fact("Version", escaped(report.version));
  return html + "</dl>\n";
}

std::string time_section(const RunFiles& run) {
  const auto& steps = run.report.steps;
  const auto& communication = run.report.communication;
  const double waited =
      communication.all_gather.seconds + communication.reduce_scatter.seconds + communication.all_reduce.seconds + communication.control.seconds;
  double all = 0, shortest = INFINITY, longest = 0;
  for (const auto& step : run.steps) {
    if (!std::isfinite(step.seconds)) continue;
    all += step.seconds;
    shortest = std::min(shortest, step.seconds);
    longest = std::max(longest, step.seconds);
  }
  std::string rows =
      row("start to the end of the first step", steps.startup_seconds, "") +
      row("a step, median", steps.median_seconds, longest > shortest ? fmt::format("between {} and {}", seconds(shortest), seconds(longest)) : "") +
      row("all steps", all, "without evaluations");
  rows += row("waited for collectives", waited,
              all > 0 ? fmt::format("rank 0, evaluations included: {:.1f}\u202f% of the steps' time", 100 * waited / all) : "rank 0");
  const std::string html = table("times", "", rows, "noted");
  return steps.predicted ? html + least_time(*steps.predicted, steps.median_seconds) : html;
}

}  // namespace zerorun::page
