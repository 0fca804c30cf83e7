#include "launcher/page/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "launcher/page/markup.h"

namespace zerorun::page {
namespace {

constexpr int kWidth = 10'000;  // of the shapes' own coordinates

std::string classes(std::string_view style, Window window) {
  constexpr const char* kWindows[] = {"", " wide", " narrow"};
  return fmt::format(" class=\"{}{}\"", style, kWindows[static_cast<int>(window)]);
}

std::string title_element(std::string_view title) { return title.empty() ? "" : fmt::format("<title>{}</title>", escaped(title)); }

std::string points_of(const std::vector<Point>& points) {
  std::string text;
  for (const auto& point : points) text += fmt::format("{}{:.0f} {:.1f}", text.empty() ? "M" : "L", point.x * kWidth, point.y);
  return text;
}

}  // namespace

double plot_width(Window window) { return window == Window::wide ? 640 : 250; }
double text_width(std::string_view text, Window window) {
  const auto characters = std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; });
  return (window == Window::narrow ? 6.0 : 6.6) * static_cast<double>(characters);
}

Plot::Plot(std::string id, std::string title, std::string description, int height, std::string style)
    : id_(std::move(id)), title_(std::move(title)), description_(std::move(description)), style_(std::move(style)), height_(height) {}

void Plot::horizontal_lines(const Axis& axis) {
  for (const auto& tick : axis.ticks) {
    const double y = y_of(axis.range, tick.value);
    below_ += fmt::format("<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", y, y);
    above_ += fmt::format("<text class=\"tick\" x=\"-8\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", y + 4, escaped(tick.text));
  }
}

void Plot::steps_below(const Axis& axis) {
  for (const auto& tick : axis.ticks) {
    const bool first = &tick == &axis.ticks.front(), last = &tick == &axis.ticks.back();
    const auto anchor = first == last ? Anchor::middle : first ? Anchor::start : Anchor::end;
    text({axis.range.share(tick.value), height_ + 18.0}, anchor, tick.text, "tick", first || last ? Window::any : Window::wide);
  }
}

void Plot::line(const std::vector<Point>& points, std::string_view style) { shapes_ += fmt::format("<path class=\"{}\" d=\"{}\"/>", style, points_of(points)); }

void Plot::area(const std::vector<Point>& top, std::string_view style) {
  std::string steps;
  double x = -1, y = -1;
  for (const auto& point : top) {
    const double next_x = std::round(point.x * kWidth), next_y = std::round(point.y * 10) / 10;
    if (steps.empty())
      steps = fmt::format("M{:.0f} {}V{:.1f}", next_x, height_, next_y);
    else if (next_y != y)
      steps += next_x != x ? fmt::format("H{:.0f}V{:.1f}", next_x, next_y) : fmt::format("V{:.1f}", next_y);
    if (next_y != y) std::tie(x, y) = std::pair(next_x, next_y);
  }
  if (!top.empty()) shapes_ += fmt::format("<path class=\"{}\" d=\"{}H{:.0f}V{}Z\"/>", style, steps, top.back().x * kWidth, height_);
}

void Plot::dot(Point at, std::string_view style, std::string_view title) {
  above_ += fmt::format("<circle class=\"{}\" cx=\"{:.2f}%\" cy=\"{:.1f}\" r=\"4\">{}</circle>", style, 100 * at.x, at.y, title_element(title));
}

void Plot::text(Point at, Anchor anchor, std::string_view text, std::string_view style, Window window) {
  constexpr const char* kAnchors[] = {"start", "middle", "end"};
  above_ += fmt::format("<text{} x=\"{:.2f}%\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>", classes(style, window), 100 * at.x, at.y,
                        kAnchors[static_cast<int>(anchor)], escaped(text));
}

void Plot::horizontal(double from, double to, double y, std::string_view style) {
  above_ += fmt::format("<line class=\"{}\" x1=\"{:.2f}%\" x2=\"{:.2f}%\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", style, 100 * from, 100 * to, y, y);
}

void Plot::vertical(double x, double from, double to, std::string_view style) {
  above_ += fmt::format("<line class=\"{}\" x1=\"{:.2f}%\" x2=\"{:.2f}%\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", style, 100 * x, 100 * x, from, to);
}

void Plot::hint(double from, double to, std::string_view title) { box(from, to, 0, height_, "hint", title); }

void Plot::box(double from, double to, double top, double height, std::string_view style, std::string_view title) {
  above_ += fmt::format("<rect class=\"{}\" x=\"{:.3f}%\" y=\"{:.1f}\" width=\"{:.3f}%\" height=\"{:.1f}\">{}</rect>", style, 100 * from, top,
                        100 * (to - from), height, title_element(title));
}

std::string Plot::html() const {
  return fmt::format(
      "<svg class=\"plot{}{}\" role=\"img\" aria-labelledby=\"{}-title {}-text\" height=\"{}\">\n<title id=\"{}-title\">{}</title><desc "
      "id=\"{}-text\">{}</desc>\n{}\n"
      "<svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" width=\"100%\" height=\"{}\">{}</svg>\n{}\n</svg>\n",
      style_.empty() ? "" : " ", style_, id_, id_, height_, id_, escaped(title_), id_, escaped(description_), below_, kWidth, height_, height_, shapes_,
      above_);
}

}  // namespace zerorun::page
