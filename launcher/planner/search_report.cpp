#include "launcher/planner/search_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "launcher/report.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kPlansShown = 12, kRejectedShown = 6, kColumns = 100;

std::string times_of(const FittingPlan& plan) { return fmt::format("{} x {}", plan.micro_batch_size, plan.micro_batches); }

struct Row {
  std::string stage, parameters, optimizer, activations, micro, seconds, bound, device, host;
  std::string text() const {
    return fmt::format("{:>5}  {:<11}{:<10}{:<13}{:>10} {:>8}  {:<11}{:>12}{:>12}\n", stage, parameters, optimizer, activations, micro, seconds, bound, device, host);
  }
};

Row row_of(const Settings& settings) {
  const auto place = [](Settings::OffloadDevice where) { return std::string(std::array{"device", "host", "disk"}[static_cast<size_t>(where)]); };
  const auto& [zero, checkpoint] = std::tie(settings.zero_optimization, settings.activation_checkpoint);
  const bool kept = checkpoint.mode == Settings::Checkpointing::none, stay = checkpoint.offload == Settings::OffloadDevice::none;
  Row row;
  row.stage = fmt::format("{}{}", zero.stage, zero.prefetch == 0 ? "*" : "");
  row.parameters = place(zero.offload_param.device);
  row.optimizer = place(zero.offload_optimizer.device);
  row.activations = kept ? "kept" : stay ? "recomputed" : "to " + place(checkpoint.offload);
  return row;
}

Row row_of(const FittingPlan& plan) {
  const auto& [space, time] = plan.foretold;
  Row row = row_of(plan.way.settings);
  row.micro = times_of(plan);
  row.seconds = fmt::format("{:.3g}", time.total());
  row.bound = key_of(time.bounded_by());
  row.device = space.device > 0 ? readable_bytes(space.device) : "-";
  row.host = readable_bytes(space.host);
  return row;
}

// In lines of at most kColumns.
std::string wrapped(const std::string& text) {
  std::string lines;
  size_t column = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const bool fits = column + end - begin + 1 <= kColumns;
    if (column > 0) lines += fits ? ' ' : '\n';
    column = fits ? column + end - begin + (column > 0) : end - begin;
    lines += text.substr(begin, end - begin);
    begin = end + 1;
  }
  return lines + "\n";
}

// "device 71.2 GiB of 79.0 GiB"
std::string part_of(int64_t bytes, const std::optional<int64_t>& limit) {
  return limit ? fmt::format("{} of {}", readable_bytes(bytes), readable_bytes(*limit)) : readable_bytes(bytes);
}

std::string space_in_words(const Space& space, const SpaceLimits& limits) {
  std::vector<std::string> parts;
  if (space.device > 0) parts.push_back(fmt::format("{} of the device", part_of(space.device, limits.device)));
  parts.push_back(fmt::format("{} of each host's memory", part_of(space.host, limits.host)));
  if (space.disk > 0) parts.push_back(fmt::format("{} of its disk", part_of(space.disk, limits.disk)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string rejected_table(const std::vector<RejectedPlan>& rejected) {
  if (rejected.empty()) return "";
  std::vector<const RejectedPlan*> nearest;
  for (const auto& plan : rejected) nearest.push_back(&plan);
  std::ranges::stable_sort(nearest, {}, [](const RejectedPlan* plan) { return plan->excess.bytes; });
  std::string text = fmt::format("\n{} ways do not fit, even with a micro-batch of 1; the nearest:\n", rejected.size());
  for (size_t i = 0; i < std::min(kRejectedShown, nearest.size()); ++i) {
    const Row row = row_of(nearest[i]->way.settings);
    text += fmt::format("{:>5}  {:<11}{:<10}{:<13}{:>12} too much {}\n", row.stage, row.parameters, row.optimizer, row.activations, readable_bytes(nearest[i]->excess.bytes),
                        nearest[i]->excess.of);
  }
  return text;
}

Json json_of(const std::optional<int64_t>& bytes) { return bytes ? Json(*bytes) : Json(nullptr); }
Json json_of(const Excess& excess) { return {{"of", excess.of}, {"bytes", excess.bytes}}; }

Json settings_of(const Settings& settings) {
  const auto name = [](Settings::OffloadDevice where) { return std::array{"none", "cpu", "nvme"}[static_cast<size_t>(where)]; };
  const auto& [zero, checkpoint] = std::tie(settings.zero_optimization, settings.activation_checkpoint);
  return {{"zero_optimization.stage", zero.stage},
          {"zero_optimization.prefetch", zero.prefetch},
          {"zero_optimization.offload_param.device", name(zero.offload_param.device)},
          {"zero_optimization.offload_param.buffer_count", zero.offload_param.buffer_count},
          {"zero_optimization.offload_optimizer.device", name(zero.offload_optimizer.device)},
          {"activation_checkpoint.mode", checkpoint.mode == Settings::Checkpointing::full ? "full" : "none"},
          {"activation_checkpoint.offload", name(checkpoint.offload)},
          {"training.micro_batch_size", settings.training.micro_batch_size}};
}

Json json_of(const FittingPlan& plan, const Searched& searched) {
  const auto& [space, time] = plan.foretold;
  Json json = {{"plan", plan.way.words},
               {"settings", settings_of(plan.way.settings)},
               {"micro_batches", plan.micro_batches},
               {"seconds_per_step", time.total()},
               {"tokens_per_second", static_cast<double>(searched.tokens) / time.total()},
               {"bound", key_of(time.bounded_by())},
               {"device_bytes", space.device},
               {"host_bytes", space.host},
               {"disk_bytes", space.disk},
               {"next_micro_batch", nullptr}};
  if (plan.larger) json["next_micro_batch"] = {{"micro_batch_size", plan.larger->micro_batch_size}, {"excess", json_of(plan.larger->excess)}};
  return json;
}

}  // namespace

std::string winner_in_words(const SearchResult& result, const Searched& searched) {
  const auto& best = result.plans.front();
  const auto& time = best.foretold.time;
  std::string text = fmt::format("{} with a micro-batch of {} is the fastest that fits: a step takes at least {:.3g} s ({:.0f} tokens/s), most of it {}, and takes {}.", best.way.words,
                                 times_of(best), time.total(), static_cast<double>(searched.tokens) / time.total(), name_of(time.bounded_by()),
                                 space_in_words(best.foretold.space, searched.limits));
  if (best.larger) {
    text += fmt::format(" The next larger micro-batch, {}, would take {} more {} than {}.", best.larger->micro_batch_size, readable_bytes(best.larger->excess.bytes),
                        best.larger->excess.of, best.larger->excess.than);
  } else {
    text += " A larger micro-batch does not divide what a rank has of the batch.";
  }
  return text;
}

std::string runner_up_in_words(const SearchResult& result) {
  const auto plans = result.worthwhile();
  if (plans.size() < 2) return "";
  const auto &best = *plans[0], &next = *plans[1];
  const double longer = next.foretold.time.total() / best.foretold.time.total() - 1;
  const int64_t device = next.foretold.space.device - best.foretold.space.device, host = next.foretold.space.host - best.foretold.space.host;
  const auto difference = [](int64_t bytes, const char* what) { return fmt::format("{} {} {}", readable_bytes(std::abs(bytes)), bytes < 0 ? "less" : "more", what); };
  return fmt::format("Next comes {} with a micro-batch of {}: {}, with {}.", next.way.words, times_of(next),
                     std::abs(longer) < 0.005 ? std::string("as fast") : fmt::format("{:.3g} % {}", 100 * std::abs(longer), longer > 0 ? "slower" : "faster"),
                     device != 0 ? difference(device, "of the device") : difference(host, "of each host's memory"));
}

std::string why_nothing_fits(const SearchResult& result) {
  std::vector<const RejectedPlan*> nearest;  // of each resource that falls short
  for (const auto& plan : result.rejected) {
    const auto same = std::ranges::find_if(nearest, [&](const RejectedPlan* other) { return std::string_view(other->excess.of) == plan.excess.of; });
    if (same == nearest.end()) nearest.push_back(&plan);
    else if (plan.excess.bytes < (*same)->excess.bytes) *same = &plan;
  }
  std::ranges::stable_sort(nearest, {}, [](const RejectedPlan* plan) { return plan->excess.bytes; });
  std::vector<std::string> lacks;
  for (const auto* plan : nearest) lacks.push_back(fmt::format("{}, takes {} more {} than {}", plan->way.words, readable_bytes(plan->excess.bytes), plan->excess.of, plan->excess.than));
  return fmt::format("none of {} ways to train it fits, even with a micro-batch of 1: the nearest, {}; more ranks, more memory or a smaller model would help", result.rejected.size(),
                     fmt::join(lacks, "; another, "));
}

std::string search_table(const SearchResult& result, const Searched& searched) {
  const auto several = [](auto count, const char* what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); };
  std::string text = wrapped(fmt::format("{} parameters, {} on {}: {}", searched.parameters, several(searched.ranks, "rank"), several(searched.hosts, "host"), searched.device));
  const auto plans = result.worthwhile();
  text += fmt::format("{} of {} ways fit{}\n", result.plans.size(), result.plans.size() + result.rejected.size(),
                      plans.empty() ? "" : "; the fastest, and those that take less of the device or of the host:");
  if (!plans.empty()) {
    text += "\n" + Row{"stage", "parameters", "optimizer", "activations", "micro", "step s", "bound", "device", "host"}.text();
    for (size_t i = 0; i < std::min(kPlansShown, plans.size()); ++i) text += row_of(*plans[i]).text();
    if (std::ranges::any_of(plans, [](const FittingPlan* plan) { return plan->way.settings.zero_optimization.prefetch == 0; })) text += "* nothing is gathered ahead\n";
    text += "\n" + wrapped(winner_in_words(result, searched));
    if (const auto next = runner_up_in_words(result); !next.empty()) text += wrapped(next);
  }
  return text + rejected_table(result.rejected);
}

std::string search_json(const SearchResult& result, const Searched& searched) {
  Json json = {{"searched",
                {{"device", searched.device},
                 {"parameters", searched.parameters},
                 {"ranks", searched.ranks},
                 {"hosts", searched.hosts},
                 {"tokens_per_step", searched.tokens},
                 {"device_bytes", json_of(searched.limits.device)},
                 {"host_bytes", json_of(searched.limits.host)},
                 {"disk_bytes", json_of(searched.limits.disk)},
                 {"predictions", result.predictions}}},
               {"plans", Json::array()},
               {"rejected", Json::array()}};
  for (const auto& plan : result.plans) json["plans"].push_back(json_of(plan, searched));
  for (const auto& plan : result.rejected) json["rejected"].push_back({{"plan", plan.way.words}, {"settings", settings_of(plan.way.settings)}, {"excess", json_of(plan.excess)}});
  return json.dump(2);
}

}  // namespace zerorun
