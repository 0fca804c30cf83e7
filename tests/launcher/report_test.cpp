#include "launcher/report.h"

#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.h"
#include "tests/launcher/expect_error.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

ComparedBytes& category(RankMemory& memory, Category which) { return memory.categories[static_cast<int>(which)]; }

RankMemory rank_memory(int rank, int64_t bytes) {
  RankMemory memory;
  memory.rank = rank;
  category(memory, Category::parameters) = {bytes, bytes};
  category(memory, Category::activations) = {2000, 1990};
  memory.padding = {640, 656};
  memory.total = {bytes + 2000, bytes + 1990};
  memory.arena = {4096, 4032};
  memory.process_peak = {bytes + 70'000'000, bytes + 71'000'000};
  memory.process_baseline = 60'000'000;
  return memory;
}

Report sample() {
  Report report;
  report.version = "1.2.3";
  report.world_size = 2;
  report.stage = 3;
  report.device = "cpu";
  report.threads = 1;
  report.parameters = 1234567;
  report.memory = {rank_memory(0, 1 << 20), rank_memory(1, 3 << 20)};
  report.communication.all_gather = {.calls = 7, .bytes_sent = 1400, .predicted_bytes_sent = 1400, .seconds = 0.5};
  report.steps = {.count = 5, .first_loss = 5.5, .last_loss = 4.5, .last_validation_loss = {}, .median_seconds = 0.1,
                  .tokens_per_second = 1280, .startup_seconds = 0.9, .predicted = {}};
  return report;
}

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  return keys;
}

TEST(Report, HasTheDocumentedKeysInTheirOrder) {
  const Json json = Json::parse(report_json(sample()));
  using testing::ElementsAre;
  EXPECT_THAT(keys_of(json), ElementsAre("version", "world_size", "stage", "device", "threads", "parameters", "memory",
                                         "communication", "steps"));
  const Json& rank = json["memory"][1];
  EXPECT_THAT(keys_of(rank), ElementsAre("rank", "categories", "padding", "total", "arena", "process_peak"));
  EXPECT_THAT(keys_of(rank["categories"]), ElementsAre("parameters", "gradients", "optimizer", "gathered", "communication",
                                                       "activations", "workspace", "unscoped", "host", "disk"));
  EXPECT_EQ(rank["rank"], 1);
  EXPECT_EQ(rank["categories"]["activations"], Json::parse(R"({"predicted": 2000, "measured": 1990})"));
  EXPECT_EQ(rank["padding"], Json::parse(R"({"predicted": 640, "measured": 656})"));
  EXPECT_EQ(rank["total"], Json::parse(R"({"predicted": 3147728, "measured": 3147718})"));
  EXPECT_EQ(rank["arena"], Json::parse(R"({"predicted": 4096, "measured": 4032})"));
  EXPECT_EQ(rank["process_peak"], Json::parse(R"({"predicted": 73145728, "measured": 74145728, "baseline": 60000000})"));
  EXPECT_THAT(keys_of(json["communication"]), ElementsAre("all_gather", "reduce_scatter", "all_reduce", "control"));
  EXPECT_EQ(json["communication"]["all_gather"],
            Json::parse(R"({"calls": 7, "bytes_sent": 1400, "predicted_bytes_sent": 1400, "seconds": 0.5})"));
  EXPECT_EQ(json["steps"], Json::parse(R"({"count": 5, "first_loss": 5.5, "last_loss": 4.5, "last_validation_loss": null,
      "median_seconds": 0.1, "tokens_per_second": 1280.0, "startup_seconds": 0.9})"));
}

TEST(Report, BytesAreExactAndWhatIsNotFiniteIsNull) {
  Report report = sample();
  report.parameters = (int64_t{1} << 53) + 1;
  report.steps.last_validation_loss = 2.25;
  report.steps.last_loss = std::numeric_limits<double>::quiet_NaN();
  const Json json = Json::parse(report_json(report));
  EXPECT_EQ(json["parameters"].get<int64_t>(), (int64_t{1} << 53) + 1);
  EXPECT_EQ(json["steps"]["last_validation_loss"], 2.25);
  EXPECT_TRUE(json["steps"]["last_loss"].is_null());
}

TEST(Report, WhatIsWrittenIsRead) {
  Report report = sample();
  report.parameters = (int64_t{1} << 53) + 1;
  report.memory[0].gpu = {{100, 20, 3}, {4, 5}, {127, 200}};
  report.steps.skipped = 3;
  report.steps.last_validation_loss = 2.25;
  report.steps.first_loss = std::numeric_limits<double>::quiet_NaN();
  StepTime time;
  time.overlaps = false;
  time.seconds[0][Resource::compute] = 0.25;
  time.seconds[1][Resource::disk_write] = 0.5;
  time.seconds[2][Resource::update] = 0.125;
  report.steps.predicted = time;
  const std::string text = report_json(report);
  EXPECT_EQ(report_json(report_of(text, "report.json")), text);
  const Json written = Json::parse(text);
  EXPECT_EQ(written["steps"]["predicted_phases"], Json::parse(R"({"overlaps": false, "gathers_ahead": true, "forward": {"seconds": 0.25, "compute": 0.25},
      "backward": {"seconds": 0.5, "disk_write": 0.5}, "update": {"seconds": 0.125, "update": 0.125}})"));
  Json more = written;
  more["unknown"] = more["memory"][0]["unknown"] = more["steps"]["unknown"] = Json::parse(R"({"a": [1]})");
  more["memory"][0].erase("padding");
  more["memory"][0].erase("arena");
  EXPECT_EQ(report_of(more.dump(), "report.json").steps.skipped, 3);
}

TEST(Report, WhatIsDamagedIsToldWithItsPlace) {
  const auto refusal = [](const std::string& pointer, const Json& value) {
    Json json = Json::parse(report_json(sample()));
    json[Json::json_pointer(pointer)] = value;
    return message_of(ErrorKind::bad_data, [&] { report_of(json.dump(), "runs/a/report.json"); });
  };
  EXPECT_EQ(refusal("/world_size", 0), "runs/a/report.json is damaged: world_size is 0, expected an integer from 1 to 65536");
  EXPECT_EQ(refusal("/memory/1/total", "none"), "runs/a/report.json is damaged: memory[1].total is \"none\", expected an object");
  EXPECT_EQ(refusal("/memory/1/total/measured", 1.5), "runs/a/report.json is damaged: memory[1].total.measured is 1.5, expected an integer of at least 0");
  EXPECT_EQ(refusal("/memory/1/total/measured", uint64_t{1} << 63), "runs/a/report.json is damaged: memory[1].total.measured is 9223372036854775808, expected an integer of at least 0");
  EXPECT_EQ(refusal("/memory/1/rank", 0), "runs/a/report.json is damaged: memory[1].rank is 0, expected 1, as ranks are in their order");
  EXPECT_EQ(refusal("/communication", Json::object()), "runs/a/report.json is damaged: communication.all_gather is missing");
  EXPECT_EQ(refusal("/steps/median_seconds", "fast"), "runs/a/report.json is damaged: steps.median_seconds is \"fast\", expected a number or null");
  EXPECT_EQ(refusal("/version", 1), "runs/a/report.json is damaged: version is 1, expected a text");
  EXPECT_THAT(refusal("/memory", Json::array()), HasSubstr("memory is an array of 0, expected an entry for each of 2 ranks"));
  EXPECT_THAT(message_of(ErrorKind::bad_data, [] { report_of("{\"version\"", "r"); }), HasSubstr("r is damaged: it is no JSON from byte"));
  const std::string deep = R"({"version": )" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}";
  EXPECT_EQ(message_of(ErrorKind::bad_data, [&] { report_of(deep, "r"); }), "r is damaged: version is an array of 1, expected a text");
  EXPECT_EQ(refusal("/threads", 5'000'000'000), "runs/a/report.json is damaged: threads is 5000000000, expected an integer from 1 to 1024");
  EXPECT_EQ(message_of(ErrorKind::bad_data, [] { report_of("[]", "r"); }), "r is damaged: its value is an array of 0, expected an object");
}

TEST(Report, APlanHasNothingMeasured) {
  const std::string text = plan_json(sample().memory, sample().communication, {}, std::nullopt);
  EXPECT_THAT(text, testing::Not(HasSubstr("measured")));
  const Json json = Json::parse(text);
  EXPECT_THAT(keys_of(json), testing::ElementsAre("memory", "communication", "step"));
  EXPECT_TRUE(json["step"]["seconds"].is_null());
  EXPECT_EQ(json["memory"][0]["total"], Json::parse(R"({"predicted": 1050576})"));
  EXPECT_EQ(json["memory"][0]["process_peak"], Json::parse(R"({"predicted": 71048576, "baseline": 60000000})"));
  EXPECT_EQ(json["communication"]["all_gather"], Json::parse(R"({"calls": 7, "predicted_bytes_sent": 1400})"));
}

TEST(Report, TheTableShowsRankZeroAndTheWorstRank) {
  Report report = sample();
  report.memory.push_back(rank_memory(2, 2 << 20));
  const std::string table = comparison_table(report);
  EXPECT_THAT(table, HasSubstr("memory of rank 0"));
  EXPECT_THAT(table, HasSubstr("memory of rank 1"));
  EXPECT_THAT(table, testing::Not(HasSubstr("memory of rank 2")));
  EXPECT_THAT(table, testing::ContainsRegex("parameters +1,048,576 +1.00 MiB +1,048,576 +1.00 MiB +0\n"));
  EXPECT_THAT(table, testing::ContainsRegex("padding +640 +640 B +656 +656 B +\\+16 \\(\\+2.5 %\\)\n"));
  EXPECT_THAT(table, testing::ContainsRegex("arena +4,096 +4.00 KiB +4,032 +3.94 KiB +-64 \\(-1.6 %\\)\n"));
  EXPECT_THAT(table, testing::ContainsRegex("baseline +60,000,000 +57.22 MiB\n"));
  EXPECT_THAT(table, testing::ContainsRegex("activations +2,000 +1.95 KiB +1,990 +1.94 KiB +-10 \\(-0.5 %\\)\n"));
  EXPECT_THAT(table, testing::Not(HasSubstr("optimizer")));  // no bytes
  EXPECT_THAT(table, testing::ContainsRegex("all-gather +7 +1,400 +1,400 +0 +0.500\n"));
}

TEST(Report, ThePredictionShowsNoMeasuredColumn) {
  const std::string table = prediction_table(sample().memory);
  EXPECT_THAT(table, testing::ContainsRegex("total +1,050,576 +1.00 MiB\n"));
  EXPECT_THAT(table, testing::Not(HasSubstr("measured")));
}

TEST(Report, LinesOfTablesHaveAtMost100Columns) {
  Report report = sample();
  const int64_t large = int64_t{1} << 43;
  category(report.memory[0], Category::communication) = {large, 2 * large + 123};
  report.memory[0].process_peak = {large, 3 * large};
  report.communication.reduce_scatter = {.calls = 1'000'000'000, .bytes_sent = large, .predicted_bytes_sent = 0, .seconds = 1e6};
  std::istringstream lines(comparison_table(report));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(Report, ATableWithoutRankZeroIsTheCallersBug) { EXPECT_THROW(prediction_table({}), Error); }

TEST(ReadableBytes, HaveTheLargestFittingUnit) {
  EXPECT_EQ(readable_bytes(0), "0 B");
  EXPECT_EQ(readable_bytes(1023), "1023 B");
  EXPECT_EQ(readable_bytes(1536), "1.50 KiB");
  EXPECT_EQ(readable_bytes(int64_t{6} << 30), "6.00 GiB");
  EXPECT_EQ(readable_bytes(-2048), "-2.00 KiB");
}

}  // namespace
}  // namespace zerorun
