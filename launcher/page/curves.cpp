#include "launcher/page/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/thinning.h"
#include "launcher/page/markup.h"
#include "launcher/page/plot.h"

namespace zerorun::page {
namespace {

constexpr size_t kPoints = 1000;
constexpr double kManyOrders = 100;  // from the lowest to the highest: drawn by powers of ten
constexpr int kHeight = 260, kSmallHeight = 130;

struct Curve {
  std::string id, title, addition;
  int height, ticks;
  bool from_zero;
};

std::vector<Sample> samples_of(const std::vector<StepMetrics>& steps, const std::function<double(const StepMetrics&)>& value) {
  std::vector<Sample> samples;
  for (const auto& step : steps) samples.push_back({static_cast<double>(step.step), value(step)});
  return samples;
}

// Of what is a number; 0 to 0 where nothing is.
Range range_of(const std::vector<Sample>& samples) {
  Range range{INFINITY, -INFINITY};
  for (const auto& sample : samples) {
    if (std::isfinite(sample.value)) range = {std::min(range.from, sample.value), std::max(range.to, sample.value)};
  }
  return range.from <= range.to ? range : Range{0, 0};
}

std::string description_of(const std::vector<Sample>& samples, const std::string& title) {
  const auto range = range_of(samples);
  return fmt::format("{} from step {} to {}: {} first, {} last, between {} and {}.", title, samples.front().step, samples.back().step,
                     rounded(samples.front().value), rounded(samples.back().value), rounded(range.from), rounded(range.to));
}

void draw(Plot& plot, const std::vector<Sample>& samples, const Axis& x, const Axis& y, std::string_view style) {
  for (const auto& stretch : stretches_of(samples)) {
    std::vector<Point> points;
    for (const auto& sample : stretch) points.push_back({x.range.share(sample.step), plot.y_of(y.range, sample.value)});
    if (points.size() > 1) {
      plot.line(points, style);
    } else {
      plot.dot(points[0], fmt::format("{} alone", style), fmt::format("step {}", stretch[0].step));
    }
  }
}

Axis steps_axis(const std::vector<StepMetrics>& steps, int ticks) { return step_axis(steps.front().step, steps.back().step, ticks); }

std::string small_curve(const std::vector<StepMetrics>& steps, const Curve& curve, const std::function<double(const StepMetrics&)>& value) {
  auto samples = samples_of(steps, value);
  const auto range = range_of(samples);
  const double last = samples.back().value;
  Plot plot(curve.id, curve.title, description_of(samples, curve.title), curve.height, "curve");
  const bool by_powers = range.from > 0 && range.to / range.from > kManyOrders;
  for (auto& sample : samples) sample.value = by_powers ? std::log10(sample.value) : sample.value;
  const auto x = steps_axis(steps, 4), y = by_powers ? power_axis(range_of(samples), curve.ticks) : number_axis(range, curve.ticks, curve.from_zero);
  plot.horizontal_lines(y);
  plot.steps_below(x);
  draw(plot, samples, x, y, "line");
  return fmt::format("<figure><figcaption><strong>{}</strong>{}<br>{} at the end{}</figcaption>{}</figure>\n", curve.title, curve.addition, rounded(last),
                     by_powers ? "; powers of ten" : "", plot.html());
}

}  // namespace

std::vector<std::vector<Sample>> stretches_of(const std::vector<Sample>& samples) {
  std::vector<std::vector<Sample>> stretches;
  bool open = false;
  for (const auto& sample : samples) {
    const bool counts = std::isfinite(sample.value);
    if (counts && !open) stretches.emplace_back();
    if (counts) stretches.back().push_back(sample);
    open = counts;
  }
  for (auto& stretch : stretches) {
    const size_t share = std::max<size_t>(1, kPoints / 2 * stretch.size() / samples.size());
    stretch = thinned(stretch, share, [](const Sample& sample) { return sample.value; });
  }
  return stretches;
}

std::string loss_curve(const std::vector<StepMetrics>& steps) {
  const auto training = samples_of(steps, [](const StepMetrics& step) { return step.loss; });
  std::vector<Sample> validation, all = training;
  for (const auto& step : steps) {
    if (step.validation_loss) validation.push_back({static_cast<double>(step.step), *step.validation_loss});
  }
  all.insert(all.end(), validation.begin(), validation.end());
  const auto x = steps_axis(steps, 8), y = number_axis(range_of(all), 5, false);
  std::string description = description_of(training, "Training loss");
  if (!validation.empty()) description += fmt::format(" Validation loss, {} times: {} last.", validation.size(), rounded(validation.back().value));
  Plot plot("loss", "Loss over the steps", description, kHeight, "curve");
  plot.horizontal_lines(y);
  plot.steps_below(x);
  draw(plot, training, x, y, "line");
  for (const auto& point : thinned(validation, kPoints / 4, [](const Sample& sample) { return sample.value; })) {
    if (!std::isfinite(point.value)) continue;
    plot.dot({x.range.share(point.step), plot.y_of(y.range, point.value)}, "validation",
             fmt::format("validation after step {}: {}", point.step, rounded(point.value)));
  }
  const auto lost = std::ranges::count_if(training, [](const Sample& sample) { return !std::isfinite(sample.value); });
  const auto skipped = std::ranges::count_if(steps, &StepMetrics::skipped);
  std::string notes;
  if (lost > 0) notes += fmt::format("<p class=\"note\">{} without a finite loss: gaps in the line.</p>\n", counted(lost, "step"));
  if (skipped > 0) notes += fmt::format("<p class=\"note\">{} overflowed in fp16 and updated nothing.</p>\n", counted(skipped, "step"));
  const std::string key = validation.empty() ? "" : "<span class=\"key\"><span class=\"swatch validation\"></span>validation</span>";
  return fmt::format("<figure><figcaption><span class=\"key\"><span class=\"swatch line\"></span>training</span>{}</figcaption>{}</figure>\n{}", key,
                     plot.html(), notes);
}

std::string small_curves(const std::vector<StepMetrics>& steps) {
  return "<div class=\"small-curves\">\n" +
         small_curve(steps, {"norm", "Gradient norm", ", before clipping", kSmallHeight, 3, true}, [](const StepMetrics& step) { return step.grad_norm; }) +
         small_curve(steps, {"speed", "Tokens per second", "", kSmallHeight, 3, true},
                     [](const StepMetrics& step) { return step.seconds > 0 ? step.tokens_per_second() : NAN; }) +
         small_curve(steps, {"rate", "Learning rate", "", kSmallHeight, 3, true}, [](const StepMetrics& step) { return step.lr; }) + "</div>\n";
}

}  // namespace zerorun::page
