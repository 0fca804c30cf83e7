#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "launcher/report.h"

namespace zerorun {
namespace {

constexpr size_t kDifferenceWidth = 22;

enum class Column { predicted, compared };

std::string exact_and_readable(int64_t bytes) { return fmt::format("{:>18} {:>11}", with_commas(bytes), readable_bytes(bytes)); }

std::string difference(ComparedBytes bytes) {
  const int64_t more = bytes.measured - bytes.predicted;
  const std::string text = fmt::format("{}{}", more > 0 ? "+" : "", with_commas(more));
  if (bytes.predicted == 0) return text;
  const double percent = 100.0 * static_cast<double>(more) / static_cast<double>(bytes.predicted);
  if (std::fabs(percent) < 0.05) return text;
  const std::string with_percent = fmt::format("{} ({:+.1f} %)", text, percent);
  return with_percent.size() <= kDifferenceWidth ? with_percent : text;
}

std::string row(const std::string& name, ComparedBytes bytes, Column column) {
  std::string text = fmt::format("  {:<13} {}", name, exact_and_readable(bytes.predicted));
  if (column == Column::compared) text += fmt::format(" {} {:>{}}", exact_and_readable(bytes.measured), difference(bytes), kDifferenceWidth);
  return text + "\n";
}

// What no prediction is made of.
std::string measured_row(const std::string& name, int64_t bytes) { return fmt::format("  {:<13} {:>30} {}\n", name, "", exact_and_readable(bytes)); }

std::string rows(const RankMemory& memory, Column column) {
  std::string text = fmt::format("{:<20}{:>26}", fmt::format("memory of rank {}", memory.rank), "predicted bytes");
  if (column == Column::compared) text += fmt::format("{:>31} {:>{}}", "measured bytes", "difference", kDifferenceWidth);
  text += "\n";
  for (int i = 0; i < kCategoryCount; ++i) {
    const ComparedBytes& bytes = memory.categories[i];
    const bool says_that_none = static_cast<Category>(i) == Category::gathered;
    if (bytes.predicted != 0 || bytes.measured != 0 || says_that_none) text += row(name_of(static_cast<Category>(i)), bytes, column);
    if (static_cast<Category>(i) == Category::optimizer) text += row("incl. padding", memory.padding, column);
  }
  text += row("total", memory.total, column) + row("arena", memory.arena, column);
  if (memory.gpu) {
    text += row("gpu reserved", memory.gpu->reserved, column);
    const auto& [context, workspace, nccl, ranks] = memory.gpu->baseline;
    for (const auto& [name, bytes] : {std::pair("gpu context", context), std::pair("gpu cuBLAS", workspace), std::pair("gpu NCCL", nccl)}) {
      if (bytes != 0) text += column == Column::predicted ? row(name, {bytes, 0}, column) : measured_row(name, bytes);
    }
    text += row(ranks == 1 ? "gpu used" : fmt::format("gpu, {} ranks", ranks), memory.gpu->used, column);
  }
  text += column == Column::predicted ? row("baseline", {memory.process_baseline, 0}, column) : measured_row("baseline", memory.process_baseline);
  return text + row("process peak", memory.process_peak, column);
}

template <typename Total>
std::string rows_of_two(const std::vector<RankMemory>& memory, Column column, Total total) {
  ZR_CHECK(!memory.empty() && memory.front().rank == 0, "the first entry of the memory table is not rank 0");
  const auto smaller = [&](const RankMemory& a, const RankMemory& b) { return total(a) < total(b); };
  const RankMemory& worst = *std::max_element(memory.begin(), memory.end(), smaller);
  return rows(memory.front(), column) + (worst.rank == 0 ? std::string() : rows(worst, column));
}

std::string traffic_row(const char* name, const CollectiveTraffic& traffic) {
  if (traffic.calls == 0 && traffic.predicted_bytes_sent == 0) return "";
  const int64_t more = traffic.bytes_sent - traffic.predicted_bytes_sent;
  return fmt::format("  {:<14} {:>11} {:>19} {:>19} {:>15} {:>11.3f}\n", name, with_commas(traffic.calls),
                     with_commas(traffic.predicted_bytes_sent), with_commas(traffic.bytes_sent), with_commas(more), traffic.seconds);
}

}  // namespace

void fill_measured(RankMemory& memory, const MemoryUsage& usage, const MemoryUsage& unscoped, int64_t process_peak, int64_t gpu_in_use) {
  for (int c = 0; c < kCategoryCount; ++c) memory.categories[c].measured = usage.peak[c];
  memory.categories[static_cast<int>(Category::unscoped)].measured = unscoped.total_peak;
  const auto unpadded = state_bytes(memory, &ComparedBytes::predicted) - memory.padding.predicted;
  memory.padding.measured = state_bytes(memory, &ComparedBytes::measured) - unpadded;
  memory.total.measured = usage.total_peak + unscoped.total_peak;
  memory.arena.measured = usage.arena_overhead + unscoped.arena_overhead;
  memory.process_peak.measured = process_peak;
  if (!memory.gpu) return;
  memory.gpu->reserved.measured = usage.gpu_reserved;
  memory.gpu->used.measured = gpu_in_use;
}

int64_t state_bytes(const RankMemory& memory, int64_t ComparedBytes::*which) {
  int64_t bytes = 0;
  for (const auto category : {Category::parameters, Category::gradients, Category::optimizer}) {
    bytes += memory.categories[static_cast<int>(category)].*which;
  }
  return bytes;
}

std::string with_commas(int64_t value) {
  std::string digits = fmt::format("{}", value);
  const size_t sign = value < 0 ? 1 : 0;
  for (size_t end = digits.size(); end > sign + 3; end -= 3) digits.insert(end - 3, 1, ',');
  return digits;
}

std::string readable_bytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (std::abs(bytes) < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; std::fabs(value) >= 1024; ++unit) value /= 1024;
  return fmt::format("{:.2f} {}", value, kUnits[unit]);
}

std::string prediction_table(const std::vector<RankMemory>& memory) {
  return rows_of_two(memory, Column::predicted, [](const RankMemory& rank) { return rank.total.predicted; });
}

std::string memory_comparison(const std::vector<RankMemory>& memory) {
  return rows_of_two(memory, Column::compared, [](const RankMemory& rank) { return rank.total.measured; });
}

std::string comparison_table(const Report& report) {
  std::string text = memory_comparison(report.memory);
  text += fmt::format("{:<16} {:>11} {:>19} {:>19} {:>15} {:>11}\n", "sent by rank 0", "calls", "predicted bytes", "sent bytes",
                      "difference", "seconds");
  const Communication& communication = report.communication;
  text += traffic_row("all-gather", communication.all_gather) + traffic_row("reduce-scatter", communication.reduce_scatter);
  text += traffic_row("all-reduce", communication.all_reduce) + traffic_row("control", communication.control);
  if (report.steps.predicted) text += fmt::format("{}; it took {:.3g} s\n", step_line(*report.steps.predicted), report.steps.median_seconds);
  return text;
}

std::string step_line(const StepTime& time) {
  std::vector<std::string> phases;
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    if (time.of_phase(phase) > 0) phases.push_back(fmt::format("{} {:.3g} s ({})", kPhaseNames[phase], time.of_phase(phase), name_of(largest_of(time.seconds[phase]))));
  }
  return fmt::format("a step takes at least {:.3g} s: {}", time.total(), fmt::join(phases, ", "));
}

}  // namespace zerorun
