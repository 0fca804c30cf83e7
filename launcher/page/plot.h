// A chart as SVG in HTML that is as wide as its box: shapes stretch, text and lines do not. x is a share of the width, y is in pixels from the top.
// What is only for a wide or only for a narrow window says so; style.cpp knows the widths.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "launcher/page/scale.h"

namespace zerorun::page {

struct Point {
  double x = 0;  // 0 to 1
  double y = 0;  // pixels
};

enum class Window { any, wide, narrow };
enum class Anchor { start, middle, end };

// Pixels that a plot is wide at least in such a window, and that a text takes there, about.
double plot_width(Window window);
double text_width(std::string_view text, Window window);

class Plot {
 public:
  // `id` is unique on the page; `title` and `description` are for who does not see it. `style`: further classes.
  Plot(std::string id, std::string title, std::string description, int height, std::string style = "");

  int height() const { return height_; }
  // Of the value on an axis that is as high as the plot.
  double y_of(const Range& range, double value) const { return height_ * (1 - range.share(value)); }

  void horizontal_lines(const Axis& axis);  // with their text at the left
  void steps_below(const Axis& axis);       // texts below; the inner ones in wide windows only
  void line(const std::vector<Point>& points, std::string_view style);
  void area(const std::vector<Point>& top, std::string_view style);  // down to the bottom; each height holds until the next point
  void dot(Point at, std::string_view style, std::string_view title = "");
  void text(Point at, Anchor anchor, std::string_view text, std::string_view style, Window window = Window::any);
  void horizontal(double from, double to, double y, std::string_view style);
  void vertical(double x, double from, double to, std::string_view style);
  // Invisible, with a text for who points at it.
  void hint(double from, double to, std::string_view title);
  void box(double from, double to, double top, double height, std::string_view style, std::string_view title = "");

  std::string html() const;

 private:
  std::string id_, title_, description_, style_;
  int height_;
  std::string shapes_, above_, below_;
};

}  // namespace zerorun::page
