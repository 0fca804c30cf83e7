// What a run's page is made of: text and numbers, axes, curves, memory over a step.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "launcher/page/bars.h"
#include "launcher/page/curves.h"
#include "launcher/page/markup.h"
#include "launcher/page/plot.h"
#include "launcher/page/scale.h"
#include "launcher/page/step_layout.h"
#include "launcher/page/timeline_chart.h"
#include "tests/launcher/markup_counts.h"

namespace zerorun::page {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(PageMarkup, WhatIsNoTextIsEscapedOrReplaced) {
  EXPECT_EQ(escaped("a<b & \"c\" > 'd'"), "a&lt;b &amp; &quot;c&quot; &gt; &#39;d&#39;");
  EXPECT_EQ(escaped("Grüße, 世界 🙂\n\t"), "Grüße, 世界 🙂\n\t");
  const std::string replacement = "\ufffd";
  EXPECT_EQ(escaped(std::string("a\0b\x1b[31m\x7f", 9)), "a" + replacement + "b" + replacement + "[31m" + replacement);
  EXPECT_EQ(escaped("\xff|\xc3|\xe4\xb8|\xc0\xaf|\xed\xa0\x80|\xf5\x80\x80\x80").find('\xff'), std::string::npos);
  EXPECT_EQ(escaped("\xc3"), replacement) << "half a character at the end";
  EXPECT_EQ(escaped("\xed\xa0\x80"), replacement + replacement + replacement) << "a surrogate";
  EXPECT_EQ(escaped("\xc0\xbc"), replacement + replacement) << "a longer form of <";
}

TEST(PageMarkup, NumbersHaveNarrowSpacesAndUnits) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1\u202f234\u202f567");
  EXPECT_EQ(grouped(-1234), "\u22121\u202f234");
  EXPECT_EQ(readable(int64_t{3} << 29), "1.50\u202fGiB");
  EXPECT_EQ(rounded(2.71828), "2.718");
  EXPECT_EQ(rounded(123456.7), "123\u202f457");
  EXPECT_EQ(rounded(kNaN), "no number");
  EXPECT_EQ(seconds(0.0675), "67.5\u202fms");
  EXPECT_EQ(seconds(90), "90\u202fs");
  EXPECT_EQ(exact_bytes(1024), "<data value=\"1024\">1\u202f024</data>");
  EXPECT_EQ(data(0.1, "0.1"), "<data value=\"0.1\">0.1</data>");
  EXPECT_EQ(data(kNaN, "none"), "<data value=\"null\">none</data>");
}

TEST(PageMarkup, ADifferenceHasItsSignAndItsShare) {
  EXPECT_EQ(difference({100, 100}), "0");
  EXPECT_EQ(difference({1000, 1100}), "+100 (+10.00\u202f%)");
  EXPECT_EQ(difference({1000, 900}), "\u2212100 (\u221210.00\u202f%)");
  EXPECT_EQ(difference({100000000, 100000001}), "+1 (< 0.01\u202f%)");
  EXPECT_EQ(difference({0, 64}), "+64");
}

std::vector<std::string> texts_of(const Axis& axis) {
  std::vector<std::string> texts;
  for (const auto& tick : axis.ticks) texts.push_back(tick.text);
  return texts;
}

TEST(PageScale, BytesAreInRoundBinaryUnits) {
  const auto axis = byte_axis(int64_t{45} << 20, 6);
  EXPECT_THAT(texts_of(axis), ElementsAre("0", "10\u202fMiB", "20\u202fMiB", "30\u202fMiB", "40\u202fMiB", "50\u202fMiB"));
  EXPECT_EQ(axis.range.to, double(50 << 20));
  for (const int64_t highest : {int64_t{0}, int64_t{1}, int64_t{1023}, int64_t{1024}, (int64_t{1} << 20) - 1, int64_t{1} << 40, int64_t{1} << 61}) {
    const auto any = byte_axis(highest, 5);
    EXPECT_GE(any.range.to, static_cast<double>(highest));
    EXPECT_GE(any.ticks.size(), 2u);
    EXPECT_LE(any.ticks.size(), 7u) << highest;
  }
}

TEST(PageScale, NumbersAreInRoundStepsAroundWhatThereIs) {
  EXPECT_THAT(texts_of(number_axis({2.6, 5.5}, 5, false)), ElementsAre("2", "3", "4", "5", "6"));
  EXPECT_THAT(texts_of(number_axis({0.0002, 0.002}, 3, true)), ElementsAre("0", "0.001", "0.002"));
  for (const auto& values : {Range{0, 0}, Range{3, 3}, Range{1e-300, 1e-299}, Range{1e17, 1e17 + 16}, Range{-1, 1e9}, Range{1e300, 2e300}}) {
    for (const bool from_zero : {false, true}) {
      const auto axis = number_axis(values, 4, from_zero);
      EXPECT_LE(axis.range.from, values.from);
      EXPECT_GE(axis.range.to, values.to * (1 - 1e-9));
      EXPECT_LT(axis.range.from, axis.range.to);
      EXPECT_LE(axis.ticks.size(), 8u);
    }
  }
}

TEST(PageScale, ManyOrdersAreWholePowers) {
  EXPECT_THAT(texts_of(power_axis({std::log10(0.3), std::log10(2345)}, 5)), ElementsAre("0.1", "1", "10", "100", "1\u202f000", "10\u202f000"));
  const auto axis = power_axis({-40, 37}, 4);
  EXPECT_EQ(axis.range.from, -40);
  EXPECT_THAT(texts_of(axis), ElementsAre("1e-40", "1e-20", "1", "1e20"));
  EXPECT_THAT(texts_of(power_axis({2, 2}, 4)), ElementsAre("100", "1\u202f000"));
}

TEST(PageScale, StepsHaveTheirEnds) {
  EXPECT_THAT(texts_of(step_axis(1, 120, 5)), ElementsAre("1", "50", "120"));
  EXPECT_THAT(texts_of(step_axis(7, 7, 5)), ElementsAre("7"));
  EXPECT_THAT(texts_of(step_axis(1, 2, 5)), ElementsAre("1", "2"));
}

TEST(PageCurves, ManyPointsBecomeFewAndExtremesStay) {
  std::vector<Sample> samples;
  for (int i = 0; i < 50'000; ++i) samples.push_back({double(i), std::sin(i * 0.001)});
  samples[31'234].value = 40;
  samples[777].value = -40;
  const auto stretches = stretches_of(samples);
  ASSERT_EQ(stretches.size(), 1u);
  EXPECT_LE(stretches[0].size(), 1002u);
  EXPECT_GE(stretches[0].size(), 500u);
  EXPECT_EQ(stretches[0].front(), samples.front());
  EXPECT_EQ(stretches[0].back(), samples.back());
  EXPECT_THAT(stretches[0], testing::Contains(samples[31'234]));
  EXPECT_THAT(stretches[0], testing::Contains(samples[777]));
  EXPECT_TRUE(std::ranges::is_sorted(stretches[0], {}, &Sample::step));
}

TEST(PageCurves, WhatIsNoNumberIsAGap) {
  const auto stretches = stretches_of({{1, kNaN}, {2, 5}, {3, 4}, {4, kNaN}, {5, INFINITY}, {6, 3}, {7, kNaN}});
  ASSERT_EQ(stretches.size(), 2u);
  EXPECT_THAT(stretches[0], ElementsAre(Sample{2, 5}, Sample{3, 4}));
  EXPECT_THAT(stretches[1], ElementsAre(Sample{6, 3}));
}

StepMetrics step(int64_t number, double loss) { return {.step = number, .loss = loss, .lr = 0.1, .grad_norm = 1, .tokens = 64, .seconds = 0.5}; }

TEST(PageCurves, AStepAloneIsADot) {
  const auto html = loss_curve({step(1, 3)}) + small_curves({step(1, 3)});
  EXPECT_EQ(count_of(html, "<circle class=\"line alone\""), 4u);
  EXPECT_THAT(html, Not(HasSubstr("<path")));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST(PageCurves, ANormThatSpansManyOrdersIsDrawnByThem) {
  auto steps = std::vector{step(1, 3), step(2, 3), step(3, 3)};
  EXPECT_THAT(small_curves(steps), Not(HasSubstr("powers of ten")));
  steps[1].grad_norm = 101;
  const auto html = small_curves(steps);
  EXPECT_EQ(count_of(html, "powers of ten"), 1u);
  EXPECT_THAT(html, HasSubstr("between 1 and 101."));
}

TEST(PageCurves, ALossThatIsLostIsTold) {
  const auto html = loss_curve({step(1, 3), step(2, kNaN), step(3, 2), step(4, 1)});
  EXPECT_THAT(html, HasSubstr("1 step without a finite loss"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(loss_curve({step(1, kNaN), step(2, kNaN)}), HasSubstr("2 steps without a finite loss"));
}

MemoryTimeline::Levels levels_of(int64_t parameters, int64_t activations) {
  MemoryTimeline::Levels levels{};
  levels[static_cast<size_t>(Category::parameters)] = parameters;
  levels[static_cast<size_t>(Category::activations)] = activations;
  return levels;
}

MemoryTimeline timeline_with(int blocks) {
  MemoryTimeline timeline;
  timeline.sections.push_back({MemoryTimeline::Phase::start, "", 0, {levels_of(0, 0), levels_of(1 << 20, 0)}});
  for (int i = 0; i < blocks; ++i) {
    timeline.sections.push_back({MemoryTimeline::Phase::forward,
                                 fmt::format("transformer.h.{}", i),
                                 0,
                                 {levels_of(1 << 20, i), levels_of(1 << 20, 9'000'000 + i), levels_of(1 << 20, i + 1)}});
  }
  timeline.sections.push_back({MemoryTimeline::Phase::update, "", 0, {levels_of(1 << 20, 0)}});
  return timeline;
}

TEST(PageTimeline, SectionsLieSideBySideAndShortOnesKeepRoomForTheirNames) {
  for (const int blocks : {1, 4, 200}) {
    const auto timeline = timeline_with(blocks);
    const auto sections = lay_out(timeline);
    ASSERT_EQ(sections.size(), timeline.sections.size());
    EXPECT_EQ(sections.front().from, 0);
    EXPECT_NEAR(sections.back().to, 1, 1e-12);
    for (size_t i = 1; i < sections.size(); ++i) EXPECT_EQ(sections[i].from, sections[i - 1].to);
    EXPECT_NEAR(sections.front().to, 0.07, 1e-9);
    EXPECT_NEAR(sections.back().to - sections.back().from, 0.07, 1e-9);
    EXPECT_EQ(sections[1].x_of(0), sections[1].from);
    EXPECT_NEAR(sections[1].x_of(2), sections[1].to, 1e-12);
  }
}

// x and text of every text of a class and window, in the order of x.
std::vector<std::pair<double, std::string>> texts_in(const std::string& html, const std::string& classes) {
  std::vector<std::pair<double, std::string>> texts;
  const std::string front = "<text class=\"" + classes + "\" x=\"";
  for (size_t at = html.find(front); at != std::string::npos; at = html.find(front, at + 1)) {
    const size_t begin = html.find('>', at) + 1;
    texts.emplace_back(std::stod(html.substr(at + front.size())), html.substr(begin, html.find('<', begin) - begin));
  }
  std::ranges::sort(texts);
  return texts;
}

TEST(PageTimeline, NamesOfManyUnitsLeaveEachOtherRoom) {
  for (const int blocks : {4, 24, 80, 400}) {
    const auto html = timeline_chart(timeline_with(blocks));
    for (const auto which : {Window::wide, Window::narrow}) {
      const std::string window = which == Window::wide ? "wide" : "narrow";
      const auto texts = texts_in(html, "tick " + window);
      ASSERT_GE(texts.size(), 2u) << blocks << " " << window;
      for (size_t i = 1; i < texts.size(); ++i) {
        const double room = (texts[i].first - texts[i - 1].first) / 100 * plot_width(which);
        EXPECT_GE(room, (text_width(texts[i].second, which) + text_width(texts[i - 1].second, which)) / 2) << blocks << " " << window << " " << texts[i].second;
      }
    }
  }
}

TEST(PageTimeline, ShowsItsHighestMomentAndWhatThereIsOfIt) {
  auto timeline = timeline_with(80);
  timeline.sections[30].unit = "a<b";
  timeline.sections[30].levels[1] = levels_of(1 << 20, 95 << 20);
  EXPECT_EQ(highest_total(timeline), 96 << 20);
  const auto html = timeline_chart(timeline);
  EXPECT_THAT(html, HasSubstr("highest: 96.00\u202fMiB"));
  EXPECT_THAT(html, HasSubstr("At the highest moment, forward of a&lt;b:"));
  EXPECT_THAT(html, HasSubstr("<data value=\"99614720\">95.00\u202fMiB</data>"));
  EXPECT_THAT(html, Not(HasSubstr("a<b")));
  EXPECT_THAT(html, Not(HasSubstr("Beside it, in host memory and on disk")));
  EXPECT_EQ(count_of(html, "<path class=\"area"), 2u);
  timeline.sections[2].levels[0][static_cast<size_t>(Category::disk)] = 5000;
  EXPECT_THAT(timeline_chart(timeline), HasSubstr("Beside it, in host memory and on disk"));
}

}  // namespace
}  // namespace zerorun::page
