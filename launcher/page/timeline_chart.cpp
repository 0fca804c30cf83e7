#include "launcher/page/timeline_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/thinning.h"
#include "launcher/page/markup.h"
#include "launcher/page/step_layout.h"

namespace zerorun::page {
namespace {

using Levels = MemoryTimeline::Levels;
using Section = MemoryTimeline::Section;
using Categories = std::vector<Category>;

constexpr size_t kMoments = 1500;  // of a chart, about
constexpr int kHeight = 320, kSleepingHeight = 120;
constexpr double kLeastLabel = 17;  // pixels that an area is thick where its name is written

int64_t bytes_of(const Levels& levels, Category category) { return levels[static_cast<size_t>(category)]; }

int64_t sum_of(const Levels& levels, const Categories& categories) {
  int64_t sum = 0;
  for (const auto category : categories) sum += bytes_of(levels, category);
  return sum;
}

struct Moment {
  double x;
  const Levels* levels;
  const Section* section;
};

std::vector<Moment> moments_of(const std::vector<PlacedSection>& sections, const Categories& categories) {
  const size_t stretches = std::max<size_t>(1, kMoments / 2 / sections.size());
  std::vector<Moment> all;
  for (const auto& placed : sections) {
    std::vector<Moment> own;
    for (size_t i = 0; i < placed.section->levels.size(); ++i) own.push_back({placed.x_of(i), &placed.section->levels[i], placed.section});
    own = thinned(own, stretches, [&](const Moment& moment) { return sum_of(*moment.levels, categories); });
    if (own.size() == 1) own.push_back({placed.to, own[0].levels, placed.section});
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

Moment highest_of(const std::vector<Moment>& moments, const Categories& categories) {
  return *std::ranges::max_element(moments, {}, [&](const Moment& moment) { return sum_of(*moment.levels, categories); });
}

// Those that there is anything of, from the bottom up.
Categories present(const MemoryTimeline& timeline, bool device) {
  Categories categories;
  for (int c = 0; c < kCategoryCount; ++c) {
    const auto category = static_cast<Category>(c);
    const auto has = [&](const Section& section) {
      return std::ranges::any_of(section.levels, [&](const Levels& levels) { return bytes_of(levels, category) > 0; });
    };
    if (on_device(category) == device && std::ranges::any_of(timeline.sections, has)) categories.push_back(category);
  }
  return categories;
}

std::string in_words(const Levels& levels, const Categories& categories) {
  std::string text;
  for (auto category = categories.rbegin(); category != categories.rend(); ++category) {
    if (bytes_of(levels, *category) > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(*category), readable(bytes_of(levels, *category)));
  }
  return text;
}

class Stack {
 public:
  Stack(const MemoryTimeline& timeline, const Categories& categories, const std::string& id, const std::string& title, int height)
      : categories_(categories),
        several_(timeline.sections.back().micro_batch > 0),
        sections_(lay_out(timeline)),
        moments_(moments_of(sections_, categories)),
        peak_(highest_of(moments_, categories)),
        axis_(byte_axis(sum_of(*peak_.levels, categories), height > 200 ? 6 : 3)),
        plot_(id, title, description(), height, "timeline") {}

  std::string html() {
    plot_.horizontal_lines(axis_);
    for (size_t count = categories_.size(); count > 0; --count) plot_.area(top_of(count), fmt::format("area {}", name_of(categories_[count - 1])));
    write_below(plot_, sections_);
    for (size_t i = 0; i < categories_.size(); ++i) write_name(i);
    mark_peak();
    for (const auto& placed : sections_) {
      const auto& levels = *std::ranges::max_element(placed.section->levels, {}, [&](const Levels& l) { return sum_of(l, categories_); });
      plot_.hint(
          placed.from, placed.to,
          fmt::format("{}: {} at its highest ({})", words_of(*placed.section, several_), readable(sum_of(levels, categories_)), in_words(levels, categories_)));
    }
    return plot_.html();
  }

  std::string legend() const {
    std::string items;
    for (auto category = categories_.rbegin(); category != categories_.rend(); ++category) {
      const int64_t bytes = bytes_of(*peak_.levels, *category);
      items += fmt::format("<li><span class=\"swatch {}\"></span><span>{}</span><span class=\"value\">{}</span></li>", name_of(*category), name_of(*category),
                           data(bytes, readable(bytes)));
    }
    return fmt::format("<p class=\"note\">At the highest moment, {}:</p>\n<ul class=\"legend\">{}</ul>\n", escaped(words_of(*peak_.section, several_)), items);
  }

 private:
  std::string description() const {
    return fmt::format("Bytes of each category over the events of a step. Highest, in {}: {}, of which {}.", words_of(*peak_.section, several_),
                       readable(sum_of(*peak_.levels, categories_)), in_words(*peak_.levels, categories_));
  }

  double y_of(const Moment& moment, size_t count) const {
    int64_t bytes = 0;
    for (size_t i = 0; i < count; ++i) bytes += bytes_of(*moment.levels, categories_[i]);
    return plot_.y_of(axis_.range, static_cast<double>(bytes));
  }

  // Of the first `count` categories together.
  std::vector<Point> top_of(size_t count) const {
    std::vector<Point> points;
    for (const auto& moment : moments_) points.push_back({moment.x, y_of(moment, count)});
    return points;
  }

  // In its area, where that is thickest over the length of the name.
  void write_name(size_t index) {
    const std::string name = name_of(categories_[index]);
    const double half = (text_width(name, Window::wide) / 2 + 4) / plot_width(Window::wide);
    double thickest = kLeastLabel;
    std::optional<Point> best;
    for (double x = half; x <= 1 - half; x += 0.01) {
      double top = 0, bottom = plot_.height();
      for (size_t i = 0; i < moments_.size(); ++i) {
        const auto& moment = moments_[i];
        const double until = i + 1 < moments_.size() ? moments_[i + 1].x : 1;
        if (until < x - half || moment.x > x + half) continue;
        top = std::max(top, y_of(moment, index + 1));
        bottom = std::min(bottom, y_of(moment, index));
      }
      if (bottom - top <= thickest + 0.5) continue;
      thickest = bottom - top;
      best = Point{x, (top + bottom) / 2 + 4};
    }
    if (best) plot_.text(*best, Anchor::middle, name, fmt::format("inside on-{}", name), Window::wide);
  }

  void mark_peak() {
    const Point at{peak_.x, y_of(peak_, categories_.size())};
    plot_.dot(at, "peak");
    const auto anchor = at.x < 0.2 ? Anchor::start : at.x > 0.8 ? Anchor::end : Anchor::middle;
    plot_.text({at.x, at.y - 10}, anchor, fmt::format("highest: {}", readable(sum_of(*peak_.levels, categories_))), "strong");
  }

  const Categories& categories_;
  bool several_;
  std::vector<PlacedSection> sections_;
  std::vector<Moment> moments_;
  Moment peak_;
  Axis axis_;
  Plot plot_;
};

}  // namespace

int64_t highest_total(const MemoryTimeline& timeline) {
  int64_t highest = 0;
  for (const auto& section : timeline.sections) {
    for (const auto& levels : section.levels) highest = std::max(highest, total_of(levels));
  }
  return highest;
}

std::string timeline_chart(const MemoryTimeline& timeline) {
  const auto awake = present(timeline, true), asleep = present(timeline, false);
  if (awake.empty()) return "";
  Stack device(timeline, awake, "timeline", "Memory over one step", kHeight);
  std::string html = fmt::format("<figure>{}</figure>\n{}", device.html(), device.legend());
  if (timeline.left_out > 0) {
    html += fmt::format("<p class=\"note\">At \u22ef micro-batches between the first and the last are left out, {} of them; none is higher.</p>\n",
                        timeline.left_out);
  }
  if (asleep.empty()) return html;
  Stack beside(timeline, asleep, "asleep", "Bytes in host memory and on disk, over the same step", kSleepingHeight);
  return html + fmt::format("<h3>Beside it, in host memory and on disk</h3>\n<figure>{}</figure>\n{}", beside.html(), beside.legend());
}

}  // namespace zerorun::page
