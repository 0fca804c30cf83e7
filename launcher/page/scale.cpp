#include "launcher/page/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "launcher/page/markup.h"

namespace zerorun::page {
namespace {

// The least of 1, 2, 5, 10, 20 ... that makes at most `most` steps of `span`.
double round_step(double span, int most) {
  const double raw = span / most;
  const double magnitude = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * magnitude >= raw * (1 - 1e-9)) return factor * magnitude;
  }
  return 10 * magnitude;
}

// As many digits after the point as the step has.
std::string text_of(double value, double step) {
  if (value == 0) return "0";
  if (std::fabs(value) >= 1000 && step >= 1) return grouped(std::llround(value));
  const double largest = std::max(std::fabs(value), step);
  if (largest < 1e-3 || largest >= 1e15) return fmt::format("{:.3g}", value);
  const int digits = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  return fmt::format("{:.{}f}", value, digits);
}

}  // namespace

Axis byte_axis(int64_t highest, int most_ticks) {
  double unit = 1;
  while (static_cast<double>(highest) >= 1024 * unit) unit *= 1024;
  const double in_units = std::max<double>(1, static_cast<double>(highest)) / unit;
  const double step = round_step(in_units, most_ticks);
  Axis axis{{0, std::ceil(in_units / step - 1e-9) * step * unit}, {}};
  const std::string name = readable(static_cast<int64_t>(unit));
  const std::string suffix = unit == 1 ? " B" : name.substr(name.find("\u202f"));
  for (int i = 0; i * step * unit <= axis.range.to * (1 + 1e-9); ++i)
    axis.ticks.push_back({i * step * unit, i == 0 ? "0" : fmt::format("{:g}{}", i * step, suffix)});
  return axis;
}

Axis number_axis(Range values, int most_ticks, bool from_zero) {
  if (from_zero) values = {std::min(0.0, values.from), std::max(0.0, values.to)};
  if (values.to - values.from <= 1e-9 * std::fabs(values.to)) {
    const double around = values.from == 0 ? 1 : std::fabs(values.from) * 0.1;
    values = from_zero && values.from == 0 ? Range{0, 1} : Range{values.from - around, values.to + around};
  }
  const double step = round_step(values.to - values.from, most_ticks);
  Axis axis;
  const double first = std::floor(values.from / step + 1e-9), last = std::ceil(values.to / step - 1e-9);
  axis.range = {first * step, last * step};
  for (double i = first; i <= last; ++i) axis.ticks.push_back({i * step, text_of(i * step, step)});
  return axis;
}

Axis power_axis(Range logarithms, int most_ticks) {
  Axis axis{{std::floor(logarithms.from), std::ceil(logarithms.to)}, {}};
  if (axis.range.to <= axis.range.from) axis.range.to = axis.range.from + 1;
  const double step = std::ceil((axis.range.to - axis.range.from) / most_ticks);
  for (double power = axis.range.from; power <= axis.range.to; power += step) {
    axis.ticks.push_back({power, std::fabs(power) < 5 ? power < 3 ? fmt::format("{:g}", std::pow(10, power)) : grouped(std::llround(std::pow(10, power)))
                                                      : fmt::format("1e{:.0f}", power)});
  }
  return axis;
}

Axis step_axis(int64_t first, int64_t last, int most_ticks) {
  Axis axis{{static_cast<double>(first), static_cast<double>(last)}, {{static_cast<double>(first), grouped(first)}}};
  if (last <= first) return axis;
  const auto step = std::max<int64_t>(1, std::llround(round_step(static_cast<double>(last - first), most_ticks)));
  for (int64_t at = (first / step + 1) * step; at < last; at += step) {
    if (at - first >= step / 2 && last - at >= step / 2) axis.ticks.push_back({static_cast<double>(at), grouped(at)});
  }
  axis.ticks.push_back({static_cast<double>(last), grouped(last)});
  return axis;
}

}  // namespace zerorun::page
