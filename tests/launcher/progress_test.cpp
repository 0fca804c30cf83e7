#include "launcher/progress.h"

#include <gmock/gmock.h>

#include <sstream>

namespace zerorun {
namespace {

StepMetrics at_step(int64_t step, double seconds = 1) {
  return {.step = step, .loss = 3.25, .lr = 1e-3, .grad_norm = 1.5, .tokens = 2048, .seconds = seconds, .validation_loss = {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(Progress, WritesPlainLinesEveryFewSteps) {
  std::ostringstream out;
  Progress progress(out, {.is_terminal = false, .steps = 25, .log_freq = 10});
  for (int64_t step = 1; step <= 25; ++step) progress.step(at_step(step));
  progress.finish();
  const auto lines = lines_of(out.str());
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[0], testing::StartsWith("step 1/25 "));
  EXPECT_EQ(lines[1], "step 10/25  loss 3.2500  lr 1.00e-03  norm 1.5  2.0k tok/s  ETA 0:15");
  EXPECT_THAT(lines[3], testing::StartsWith("step 25/25 "));
  EXPECT_EQ(out.str().find_first_of("\r\x1b"), std::string::npos);
}

TEST(Progress, AlwaysShowsAValidationLoss) {
  for (const bool is_terminal : {false, true}) {
    std::ostringstream out;
    Progress progress(out, {.is_terminal = is_terminal, .steps = 100, .log_freq = 50});
    StepMetrics metrics = at_step(7);
    metrics.validation_loss = 3.5;
    progress.step(metrics);
    EXPECT_THAT(out.str(), testing::HasSubstr("validation loss 3.5000")) << is_terminal;
  }
}

TEST(Progress, RedrawsOneLineOnATerminal) {
  std::ostringstream out;
  Progress progress(out, {.is_terminal = true, .steps = 4});
  progress.step(at_step(1));
  progress.step(at_step(2));
  EXPECT_EQ(out.str(),
            "[#####...............] step 1/4 loss 3.2500 2.0k tok/s ETA 0:03"
            "\r\x1b[K[##########..........] step 2/4 loss 3.2500 2.0k tok/s ETA 0:02");
  progress.finish();
  progress.finish();
  EXPECT_EQ(lines_of(out.str()).size(), 1u);
  EXPECT_THAT(out.str(), testing::EndsWith("ETA 0:02\n"));
}

TEST(Progress, FastStepsAreNotAllDrawn) {
  std::ostringstream out;
  Progress progress(out, {.is_terminal = true, .steps = 1000});
  for (int64_t step = 1; step <= 1000; ++step) progress.step(at_step(step, 0.001));
  const std::string text = out.str();
  EXPECT_LE(std::count(text.begin(), text.end(), '['), 2 * 12);
  EXPECT_THAT(text, testing::HasSubstr("step 1000/1000"));
}

TEST(Progress, AMessageStandsOnItsOwnLine) {
  std::ostringstream out;
  Progress progress(out, {.is_terminal = true, .steps = 4});
  progress.step(at_step(1));
  progress.message("saved");
  EXPECT_THAT(out.str(), testing::EndsWith("\r\x1b[Ksaved\n"));
}

TEST(Progress, FitsATerminalOf80Columns) {
  std::ostringstream out;
  Progress progress(out, {.is_terminal = true, .steps = 1'000'000});
  progress.step(at_step(999'000, 100));
  EXPECT_LE(out.str().size(), 80u) << out.str();
}

}  // namespace
}  // namespace zerorun
