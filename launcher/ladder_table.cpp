#include <fmt/format.h>

#include <algorithm>

#include "launcher/ladder_report.h"

namespace zerorun {
namespace {

constexpr int kLabel = 34;

std::string mebibytes(int64_t bytes) { return fmt::format("{:.1f}", static_cast<double>(bytes) / (1 << 20)); }
std::string whole(std::optional<int64_t> value) { return value ? fmt::format("{}", *value) : "-"; }
std::string percent(double now, double first) { return fmt::format("{:+.1f} %", 100 * (now / first - 1)); }

std::string columns(const std::string& label, const std::vector<std::string>& cells) {
  std::string text = fmt::format("{:<{}}", label, kLabel);
  for (const auto& cell : cells) text += fmt::format(" {:>9}", cell);
  return text + "\n";
}

// The first that was run; nothing where none was.
const RungResult* first_of(const Ladder& ladder) {
  const auto found = std::ranges::find_if(ladder.results, [](const auto& result) { return result.not_run.empty(); });
  return found == ladder.results.end() ? nullptr : &*found;
}

}  // namespace

int64_t ladder_states(const RankMemory& memory, int64_t ComparedBytes::*which) {
  return state_bytes(memory, which) + memory.categories[static_cast<int>(Category::gathered)].*which - memory.padding.predicted;
}

std::string ladder_heading(const Ladder& ladder) {
  std::vector<std::string> names = {"predicted", "measured", "states"};
  if (ladder.is_toy) names.insert(names.end(), {"target", "document"});
  names.insert(names.end(), {"process", "s/step", "samples/s", "memory", "time"});
  return fmt::format("{} parameters, {} tokens a sample, {} steps; memory of a rank in MiB\n\n", ladder.parameters,
                     ladder.options.seq_len, ladder.options.steps) +
         columns("", names);
}

std::string ladder_row(const Ladder& ladder, const RungResult& result) {
  const bool ran = result.not_run.empty();
  const auto& memory = result.memory;
  std::vector<std::string> cells = {mebibytes(memory.total.predicted), ran ? mebibytes(memory.total.measured) : "-",
                                    mebibytes(ladder_states(memory, ran ? &ComparedBytes::measured : &ComparedBytes::predicted))};
  if (ladder.is_toy) cells.insert(cells.end(), {whole(result.rung.toy.target_mib), whole(result.rung.toy.document_mib)});
  if (!ran) return columns(result.rung.label, cells) + fmt::format("  not run: {}\n", result.not_run);
  const auto& first = *first_of(ladder);
  cells.insert(cells.end(),
               {mebibytes(memory.process_peak.measured), fmt::format("{:.3f}", result.seconds_per_step),
                fmt::format("{:.2f}", result.samples_per_second()),
                percent(static_cast<double>(memory.total.measured), static_cast<double>(first.memory.total.measured)),
                percent(first.samples_per_second(), result.samples_per_second())});
  return columns(result.rung.label, cells);
}

std::string ladder_legend(const Ladder& ladder) {
  std::string text =
      "\npredicted, measured: peaks of all that the rank holds; states: of it parameters, gradients, optimizer and gathered "
      "units,\n"
      "without padding; process: the process's own peak, of all ranks that are its threads; memory, time: measured memory and\n"
      "time per sample against the first row\n";
  if (ladder.is_toy)
    text += "target: for the states, or all where something sleeps; document: what was measured on an A40, with its context and what its allocator kept\n";
  return text;
}

}  // namespace zerorun
