#include "launcher/page/bars.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "launcher/page/markup.h"
#include "launcher/page/plot.h"

namespace zerorun::page {
namespace {

constexpr int kRow = 52, kThickness = 8;

std::string value_text(ComparedBytes bytes, const std::string& words) {
  if (readable(bytes.predicted) == readable(bytes.measured)) return readable(bytes.measured);
  return fmt::format("{} {}, {} predicted", readable(bytes.measured), words, readable(bytes.predicted));
}

}  // namespace

std::string difference(ComparedBytes bytes) {
  const int64_t more = bytes.measured - bytes.predicted;
  if (more == 0) return "0";
  const std::string text = (more > 0 ? "+" : "") + grouped(more);
  if (bytes.predicted == 0) return text;
  const double percent = 100.0 * static_cast<double>(more) / static_cast<double>(bytes.predicted);
  if (std::fabs(percent) < 0.01) return text + " (< 0.01\u202f%)";
  return fmt::format("{} ({}{:.2f}\u202f%)", text, more > 0 ? "+" : "\u2212", std::fabs(percent));
}

std::string bars(const std::string& id, const std::string& title, const std::vector<Bar>& all, const std::string& words) {
  std::vector<Bar> shown;
  std::ranges::copy_if(all, std::back_inserter(shown), [](const Bar& bar) { return bar.bytes.predicted > 0 || bar.bytes.measured > 0; });
  if (shown.empty()) return "";
  int64_t most = 1;
  std::string description;
  for (const auto& bar : shown) {
    most = std::max({most, bar.bytes.predicted, bar.bytes.measured});
    description +=
        fmt::format("{}{}: {} predicted, {} {}", description.empty() ? "" : "; ", bar.name, readable(bar.bytes.predicted), readable(bar.bytes.measured), words);
  }
  Plot plot(id, title, description, kRow * static_cast<int>(shown.size()), "bars");
  for (size_t i = 0; i < shown.size(); ++i) {
    const auto& [name, bytes, style] = shown[i];
    const double top = kRow * static_cast<double>(i);
    const auto share = [&](int64_t value) { return static_cast<double>(value) / static_cast<double>(most); };
    plot.text({0, top + 12}, Anchor::start, name, "name");
    plot.text({1, top + 12}, Anchor::end, value_text(bytes, words), "value");
    plot.box(0, 1, top + 20, 2 * kThickness + 2, "track");
    plot.box(0, share(bytes.predicted), top + 20, kThickness, style + " predicted", fmt::format("{}: {} bytes predicted", name, grouped(bytes.predicted)));
    plot.box(0, share(bytes.measured), top + 22 + kThickness, kThickness, style, fmt::format("{}: {} bytes {}", name, grouped(bytes.measured), words));
  }
  return plot.html();
}

}  // namespace zerorun::page
