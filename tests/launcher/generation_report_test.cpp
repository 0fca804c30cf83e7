#include "launcher/generation_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace zerorun {
namespace {

TEST(GenerationReport, RatesAreOfTheTokensAfterTheFirst) {
  GenerationReport report;
  report.tokens = {4, 5, 6};
  report.context_full = true;
  report.decode_seconds = {0.25, 0.75};
  const auto json = nlohmann::json::parse(generation_json(report));
  EXPECT_EQ(json["decode_seconds"], 1.0);
  EXPECT_EQ(json["decode_tokens_per_second"], 2.0);
  EXPECT_EQ(json["decode_step_seconds"]["mean"], 0.5);
  EXPECT_EQ(json["decode_step_seconds"]["p50"], 0.25);
  EXPECT_EQ(json["decode_step_seconds"]["p99"], 0.75);
  EXPECT_EQ(json["stopped"], "context full");
}

}  // namespace
}  // namespace zerorun
