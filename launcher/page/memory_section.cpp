#include "launcher/page/memory_section.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "launcher/page/bars.h"
#include "launcher/page/markup.h"

namespace zerorun::page {
namespace {

constexpr double kHeld = 0.01;  // of the prediction
constexpr size_t kOpen = 2;     // kinds of ranks that are shown unfolded
constexpr size_t kFewRanks = 8;

bool same(ComparedBytes a, ComparedBytes b) { return a.predicted == b.predicted && a.measured == b.measured; }

bool alike(const RankMemory& a, const RankMemory& b) {
  return std::ranges::equal(a.categories, b.categories, same) && same(a.padding, b.padding) && same(a.total, b.total) && same(a.arena, b.arena);
}

std::vector<std::vector<const RankMemory*>> kinds_of(const std::vector<RankMemory>& memory) {
  std::vector<std::vector<const RankMemory*>> kinds;
  for (const auto& rank : memory) {
    const auto found = std::ranges::find_if(kinds, [&](const auto& kind) { return alike(*kind.front(), rank); });
    if (found == kinds.end()) {
      kinds.push_back({&rank});
    } else {
      found->push_back(&rank);
    }
  }
  return kinds;
}

// "Rank 0", "Ranks 0 to 3, alike", "Ranks 0, 2 to 5 and 7, alike"
std::string title_of(const std::vector<const RankMemory*>& kind) {
  if (kind.size() == 1) return fmt::format("Rank {}", kind[0]->rank);
  std::vector<std::string> parts;
  for (size_t i = 0; i < kind.size();) {
    size_t end = i + 1;
    while (end < kind.size() && kind[end]->rank == kind[end - 1]->rank + 1) ++end;
    if (end - i < 3) end = i + 1;
    parts.push_back(end - i == 1 ? fmt::format("{}", kind[i]->rank) : fmt::format("{} to {}", kind[i]->rank, kind[end - 1]->rank));
    i = end;
  }
  const std::string last = parts.back();
  parts.pop_back();
  return fmt::format("Ranks {}{}{}, alike", fmt::join(parts, ", "), parts.empty() ? "" : " and ", last);
}

std::string cells(int64_t bytes) { return fmt::format("<td>{}</td><td class=\"soft\">{}</td>", exact_bytes(bytes), readable(bytes)); }

std::string row(const std::string& name, ComparedBytes bytes, const std::string& style = "") {
  return fmt::format("<tr{}><th scope=\"row\">{}</th>{}{}<td>{}</td></tr>\n", style.empty() ? "" : " class=\"" + style + "\"", name, cells(bytes.predicted),
                     cells(bytes.measured), difference(bytes));
}

std::string compared(std::string_view label, const char* first_column, const std::string& rows) {
  const auto head = fmt::format(
      "<tr><th scope=\"col\">{}</th><th scope=\"col\" colspan=\"2\">predicted, bytes</th><th scope=\"col\" colspan=\"2\">measured, bytes</th><th "
      "scope=\"col\">difference</th></tr>",
      first_column);
  return table(label, head, rows);
}

std::string categories(const RankMemory& rank) {
  std::string rows;
  for (int c = 0; c < kCategoryCount; ++c) {
    const auto category = static_cast<Category>(c);
    const auto& bytes = rank.categories[static_cast<size_t>(c)];
    const auto swatch = fmt::format("<span class=\"swatch {}\"></span>{}", name_of(category), name_of(category));
    const bool says_that_none = category == Category::gathered;
    if (on_device(category) && (bytes.predicted != 0 || bytes.measured != 0 || says_that_none)) rows += row(swatch, bytes);
    if (category == Category::optimizer) rows += row("of these three, padding", rank.padding, "soft inner");
  }
  rows += row("total at one moment", rank.total, "total") + row("arena, beside it", rank.arena, "soft");
  for (const auto category : {Category::host, Category::disk}) {
    const auto& bytes = rank.categories[static_cast<size_t>(category)];
    const auto name = fmt::format("<span class=\"swatch {}\"></span>{}", name_of(category), category == Category::host ? "in host memory" : "on disk");
    if (bytes.predicted != 0 || bytes.measured != 0) rows += row(name, bytes);
  }
  return compared(fmt::format("memory of rank {}", rank.rank), "category, at its highest", rows);
}

std::string bars_of(const RankMemory& rank) {
  std::vector<Bar> all;
  for (int c = 0; c < kCategoryCount; ++c) {
    const auto category = static_cast<Category>(c);
    const std::string name = category == Category::host ? "in host memory" : category == Category::disk ? "on disk" : name_of(category);
    all.push_back({name, rank.categories[static_cast<size_t>(c)], fmt::format("bar {}", name_of(category))});
  }
  return bars(fmt::format("memory-{}", rank.rank), fmt::format("Memory of rank {} by category", rank.rank), all, "measured");
}

std::string kind_html(const std::vector<const RankMemory*>& kind, bool open) {
  const auto& rank = *kind.front();
  const std::string body = fmt::format("<figure>{}</figure>\n{}", bars_of(rank), categories(rank)), title = title_of(kind);
  if (open) return fmt::format("<h3>{}</h3>\n{}", title, body);
  return fmt::format("<details><summary>{}</summary>\n{}</details>\n", title, body);
}

// What the whole of a process or of a GPU takes, by rank.
std::string processes(const Report& report) {
  std::string rows;
  const bool gpus = std::ranges::any_of(report.memory, [](const auto& rank) { return rank.gpu.has_value(); });
  for (const auto& rank : report.memory) {
    const auto measured = [&](const char* what, int64_t bytes) {
      rows += fmt::format("<tr class=\"soft\"><th scope=\"row\">rank {}, {}</th><td></td><td></td>{}<td></td></tr>\n", rank.rank, what, cells(bytes));
    };
    rows += row(fmt::format("rank {}, peak of the process", rank.rank), rank.process_peak);
    measured("before the model", rank.process_baseline);
    if (!rank.gpu) continue;
    rows += row(fmt::format("rank {}, GPU reserved", rank.rank), rank.gpu->reserved) + row(fmt::format("rank {}, GPU in use", rank.rank), rank.gpu->used);
    measured("GPU before the model", rank.gpu->baseline.total());
  }
  const std::string title = gpus ? "Processes and GPUs" : "Processes", html = compared(title, "process", rows);
  if (report.memory.size() > kFewRanks) return fmt::format("<details><summary>{}, of {} ranks</summary>{}</details>\n", title, report.memory.size(), html);
  const char* const note = gpus ? "What a process holds in host memory, libraries and MPI included; what is reserved and in use of its GPU."
                                : "All that a process holds: libraries and MPI, the total and the arena, what sleeps in host memory.";
  return fmt::format("<h3>{}</h3>\n<p class=\"note\">{}</p>\n{}", title, note, html);
}

}  // namespace

std::string memory_section(const Report& report) {
  const auto kinds = kinds_of(report.memory);
  std::string html =
      "<p class=\"note\"><span class=\"key\"><span class=\"swatch hollow\"></span>predicted before the first step</span><span class=\"key\"><span "
      "class=\"swatch full\"></span>measured"
      "</span> Peaks over the run.</p>\n";
  for (size_t i = 0; i < kinds.size(); ++i) html += kind_html(kinds[i], i < kOpen);
  return html + processes(report);
}

Verdict verdict_of(const Report& report) {
  const auto off = [](const RankMemory& rank) { return std::abs(rank.total.measured - rank.total.predicted); };
  const auto& worst = *std::ranges::max_element(report.memory, {}, off);
  if (off(worst) == 0) return {true, "to the byte"};
  const double share = static_cast<double>(off(worst)) / static_cast<double>(std::max<int64_t>(1, worst.total.predicted));
  const std::string size = share < 1e-4 ? "< 0.01" : fmt::format("{:.2f}", 100 * share);
  return {share <= kHeld, fmt::format("{}\u202f% {} on rank {}", size, worst.total.measured > worst.total.predicted ? "above" : "below", worst.rank)};
}

}  // namespace zerorun::page
