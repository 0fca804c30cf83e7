#include "launcher/page/step_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace zerorun::page {
namespace {

using Phase = MemoryTimeline::Phase;

constexpr double kNamed = 0.07;  // of the width: what start and update have
// Pixels: between names of units, between names of phases, and between the middles of blocks that are written.
constexpr double kGap = 8, kPhaseGap = 3, kBetweenBlocks = 30;
constexpr double kFewestPixels = 60;  // of a phase whose units are named
constexpr double kMostOver = 1.7;      // a name is no more than so much wider than its place, to come first

bool is_update(Phase phase) { return phase == Phase::norm || phase == Phase::update; }

const char* name_of(Phase phase) {
  constexpr const char* kNames[] = {"start", "forward", "backward", "update", "update", "evaluation"};
  return kNames[static_cast<int>(phase)];
}

bool is_pass(Phase phase) { return phase == Phase::forward || phase == Phase::backward; }

const char* short_name_of(Phase phase) {
  constexpr const char* kNames[] = {"start", "fwd", "bwd", "upd.", "upd.", "eval."};
  return kNames[static_cast<int>(phase)];
}

// Sections of one phase, of one micro-batch.
struct Run {
  size_t begin, end;
};

std::vector<Run> runs_of(const std::vector<PlacedSection>& sections) {
  std::vector<Run> runs;
  for (size_t i = 0; i < sections.size(); ++i) {
    const auto& [phase, unit, micro_batch, levels] = *sections[i].section;
    const bool same =
        i > 0 && std::string_view(name_of(phase)) == name_of(sections[i - 1].section->phase) && (micro_batch == sections[i - 1].section->micro_batch);
    if (same) {
      ++runs.back().end;
    } else {
      runs.push_back({i, i + 1});
    }
  }
  return runs;
}

// "transformer.h.3" is "3".
std::string short_name(const std::string& unit) { return unit.substr(unit.rfind('.') + 1); }
bool is_number(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return c >= '0' && c <= '9'; });
}

// Texts of a row that leave each other room.
class Row {
 public:
  Row(Plot& plot, double y, Window window, double gap) : plot_(plot), y_(y), window_(window), width_(plot_width(window)), gap_(gap / width_) {}

  double width_of(const std::string& text) const { return text_width(text, window_); }
  double width() const { return width_; }  // pixels
  // In the middle of from..to, moved so as to stay within least..most, if there is room.
  bool write(const std::string& text, std::string_view style, double from, double to, double least, double most) {
    const double half = text_width(text, window_) / 2 / width_, middle = std::clamp((from + to) / 2, least + half, std::max(least + half, most - half));
    if (2 * half > most - least) return false;
    const auto meets = [&](const auto& taken) { return middle - half < taken.second + gap_ && middle + half + gap_ > taken.first; };
    if (std::ranges::any_of(taken_, meets)) return false;
    taken_.emplace_back(middle - half, middle + half);
    plot_.text({middle, y_}, Anchor::middle, text, style, window_);
    return true;
  }

 private:
  Plot& plot_;
  double y_;
  Window window_;
  double width_, gap_;
  std::vector<std::pair<double, double>> taken_;
};

// Blocks whose numbers are multiples of the first step that leaves room; the first that is written is called a block. Ends whose names are much longer than
// their place come after them.
void write_units(Row& row, const std::vector<PlacedSection>& sections, Run run) {
  const double least = sections[run.begin].from, most = sections[run.end - 1].to, width = (sections[run.begin].to - least) * row.width();
  const auto name = [&](size_t i) { return short_name(sections[i].section->unit); };
  const auto write = [&](size_t i, const std::string& text) { return row.write(text, "tick", sections[i].from, sections[i].to, least, most); };
  const auto write_ends = [&](bool long_ones) {
    for (const size_t i : {run.begin, run.end - 1}) {
      if (!is_number(name(i)) && (row.width_of(name(i)) > kMostOver * width) == long_ones) write(i, name(i));
    }
  };
  write_ends(false);
  int step = 1;
  for (const int next : {1, 2, 5, 10, 20, 50, 100}) step = step * width < kBetweenBlocks ? next : step;
  bool first = true;
  for (size_t i = run.begin; i < run.end; ++i) {
    if (!is_number(name(i)) || name(i).size() > 6 || std::stoi(name(i)) % step != 0) continue;
    if ((first && write(i, "block " + name(i))) || write(i, name(i))) first = false;
  }
  write_ends(true);
}

}  // namespace

double PlacedSection::x_of(size_t level) const {
  const size_t last = section->levels.size() - 1;
  return last == 0 ? from : from + (to - from) * static_cast<double>(level) / static_cast<double>(last);
}

std::vector<PlacedSection> lay_out(const MemoryTimeline& timeline) {
  double visits = 0, updates = 0;
  for (const auto& section : timeline.sections) {
    visits += section.phase == Phase::evaluation ? 0.5 : section.unit.empty() ? 0 : 1;
    updates += is_update(section.phase);
  }
  const double named = kNamed * visits / (1 - 2 * kNamed);  // so that each of the two has that share
  const double whole = visits + named + (updates > 0 ? named : 0);
  std::vector<PlacedSection> placed;
  double at = 0;
  for (const auto& section : timeline.sections) {
    double width = section.phase == Phase::evaluation ? 0.5 : 1;
    if (section.phase == Phase::start) width = named;
    if (is_update(section.phase)) width = named / updates;
    placed.push_back({&section, at / whole, (at + width) / whole});
    at += width;
  }
  return placed;
}

void write_below(Plot& plot, const std::vector<PlacedSection>& sections) {
  const double first = plot.height() + 18, second = plot.height() + 40;
  const auto runs = runs_of(sections);
  for (const auto window : {Window::wide, Window::narrow}) {
    Row units(plot, first, window, kGap), phases(plot, second, window, kPhaseGap);
    const auto pixels = [&](Run run) { return (sections[run.end - 1].to - sections[run.begin].from) * plot_width(window); };
    const auto often = [&](Run run) { return is_pass(sections[run.begin].section->phase); };
    const bool in_full = std::ranges::all_of(runs, [&](Run run) { return !often(run) || pixels(run) >= text_width("backward", window) + kGap; });
    const auto write_phase = [&](Run run) {
      const auto phase = sections[run.begin].section->phase;
      const double from = sections[run.begin].from, to = sections[run.end - 1].to;
      const auto write = [&](const char* name) { return phases.write(name, "phase", from, to, from, to); };
      if (is_pass(phase) && !in_full) write(short_name_of(phase));
      else if (!write(name_of(phase))) write(short_name_of(phase));
    };
    for (const auto run : runs) {
      if (!often(run)) write_phase(run);
    }
    for (const auto run : runs) {
      if (often(run)) write_phase(run);
      if (!sections[run.begin].section->unit.empty() && pixels(run) >= kFewestPixels) write_units(units, sections, run);
    }
  }
  for (const auto run : runs) {
    if (run.begin > 0) plot.vertical(sections[run.begin].from, 0, second + 4, "border");
    const bool jumps = run.begin > 0 && sections[run.begin].section->micro_batch > sections[run.begin - 1].section->micro_batch + 1;
    if (jumps) plot.text({sections[run.begin].from, 12}, Anchor::middle, "\u22ef", "phase");
  }
}

std::string words_of(const MemoryTimeline::Section& section, bool several) {
  const std::string of_unit = section.unit.empty() ? "" : " of " + section.unit;
  const bool counted = several && is_pass(section.phase);
  const std::string phase = section.phase == Phase::norm ? "gradient norm" : name_of(section.phase);
  return phase + of_unit + (counted ? fmt::format(", micro-batch {}", section.micro_batch + 1) : "");
}

}  // namespace zerorun::page
