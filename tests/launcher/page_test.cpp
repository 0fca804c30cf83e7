// Sections of a run's page, pages of runs that are unlike most, and the files that they are made of.
#include "launcher/page/page.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "launcher/page/memory_section.h"
#include "tests/launcher/expect_error.h"
#include "tests/launcher/markup_counts.h"
#include "tests/launcher/temporary_folder.h"

namespace zerorun::page {
namespace {

using testing::HasSubstr;
using testing::Not;

StepMetrics step(int64_t number, double loss) { return {.step = number, .loss = loss, .lr = 0.1, .grad_norm = 1, .tokens = 64, .seconds = 0.5}; }

RankMemory rank_memory(int rank, int64_t activations) {
  RankMemory memory;
  memory.rank = rank;
  memory.categories[static_cast<size_t>(Category::parameters)] = {1000, 1000};
  memory.categories[static_cast<size_t>(Category::activations)] = {2000, activations};
  memory.total = {3000, 1000 + activations};
  memory.process_peak = {10000, 11000 + rank};
  memory.process_baseline = 5000;
  return memory;
}

Report report_of_ranks(int ranks) {
  Report report{
      .version = "1", .world_size = ranks, .stage = 3, .device = "cpu", .threads = 1, .parameters = 10, .memory = {}, .communication = {}, .steps = {}};
  for (int rank = 0; rank < ranks; ++rank) report.memory.push_back(rank_memory(rank, 2000));
  return report;
}

TEST(PageMemory, RanksThatAreAlikeAreShownOnce) {
  auto report = report_of_ranks(64);
  auto html = memory_section(report);
  EXPECT_THAT(html, HasSubstr("<h3>Ranks 0 to 63, alike</h3>"));
  EXPECT_EQ(count_of(html, ">total at one moment<"), 1u);
  EXPECT_EQ(count_of(html, "peak of the process"), 64u);
  for (const int rank : {5, 9, 10, 11, 40}) report.memory[static_cast<size_t>(rank)] = rank_memory(rank, rank == 40 ? 2200 : 2100);
  html = memory_section(report);
  EXPECT_THAT(html, HasSubstr("<h3>Ranks 0 to 4, 6 to 8, 12 to 39 and 41 to 63, alike</h3>"));
  EXPECT_THAT(html, HasSubstr("<h3>Ranks 5 and 9 to 11, alike</h3>"));
  EXPECT_THAT(html, HasSubstr("<summary>Rank 40</summary>"));
  EXPECT_EQ(count_of(html, ">total at one moment<"), 3u);
}

TEST(PageMemory, SaysWhetherThePredictionHeld) {
  auto report = report_of_ranks(4);
  EXPECT_TRUE(verdict_of(report).held);
  EXPECT_EQ(verdict_of(report).words, "to the byte");
  report.memory[2].total = {100000, 99500};
  EXPECT_TRUE(verdict_of(report).held);
  EXPECT_EQ(verdict_of(report).words, "0.50\u202f% below on rank 2");
  report.memory[3].total = {100000, 103000};
  EXPECT_FALSE(verdict_of(report).held);
  EXPECT_EQ(verdict_of(report).words, "3.00\u202f% above on rank 3");
}

TEST(PageMemory, GpusHaveTheirLines) {
  auto report = report_of_ranks(2);
  EXPECT_THAT(memory_section(report), Not(HasSubstr("GPU")));
  for (auto& rank : report.memory) rank.gpu = {{100, 20, 3}, {4'000'000, 4'000'000}, {4'000'123, 4'000'999}};
  const auto html = memory_section(report);
  EXPECT_THAT(html, HasSubstr("Processes and GPUs"));
  EXPECT_THAT(html, HasSubstr("rank 1, GPU reserved</th><td><data value=\"4000000\">"));
  EXPECT_THAT(html, HasSubstr("rank 1, GPU in use</th><td><data value=\"4000123\">"));
  EXPECT_THAT(html, HasSubstr("rank 1, GPU before the model</th><td></td><td></td><td><data value=\"123\">"));
}

Contents contents() {
  Contents contents;
  contents.run.folder = "runs/<a>&b";
  contents.run.report = report_of_ranks(1);
  contents.run.report.steps = {.count = 2,
                               .skipped = 0,
                               .first_loss = kNaN,
                               .last_loss = 2,
                               .last_validation_loss = {},
                               .median_seconds = 0.5,
                               .tokens_per_second = 128,
                               .startup_seconds = 1,
                               .predicted = {}};
  contents.run.steps = {step(1, kNaN), step(2, 2)};
  contents.run.settings.run.name = "</title><script>x</script>";
  contents.run.settings.training = {.steps = 2, .global_batch_size = 4, .micro_batch_size = 2, .seq_len = 16};
  contents.run.configuration = "run:\n  name: \"</pre>&\"\n";
  contents.model = "A <GPT-2>";
  contents.about_timeline = "cannot <draw>";
  return contents;
}

TEST(Page, IsOneFileWithoutAnythingFromElsewhere) {
  const auto html = page(contents());
  EXPECT_TRUE(html.starts_with(kFront));
  EXPECT_TRUE(html.ends_with("</html>\n"));
  for (const char* part : {"<script", "http:", "https:", "//cdn", "src=", "href=", "url(", "@import", "nan"}) EXPECT_THAT(html, Not(HasSubstr(part)));
  EXPECT_EQ(page(contents()), html);
}

TEST(Page, EscapesEveryNameInIt) {
  const auto html = page(contents());
  for (const char* part : {"</title><script", "<a>&b", "</pre>&", "<GPT-2>", "<draw>"}) EXPECT_THAT(html, Not(HasSubstr(part)));
  EXPECT_EQ(count_of(html, "&lt;/title&gt;&lt;script&gt;x&lt;/script&gt;"), 2u);
  EXPECT_THAT(html, HasSubstr("<code>runs/&lt;a&gt;&amp;b</code>"));
  EXPECT_THAT(html, HasSubstr("name: &quot;&lt;/pre&gt;&amp;&quot;"));
  EXPECT_THAT(html, HasSubstr("cannot &lt;draw&gt;"));
}

TEST(Page, HasTheTimeThatTheRatesAllow) {
  auto with_rates = contents();
  EXPECT_THAT(page(with_rates), Not(HasSubstr("rates allow")));
  StepTime time;
  time.seconds[0][Resource::compute] = 0.25;
  time.seconds[0][Resource::disk_read] = 0.125;
  time.seconds[1][Resource::compute] = 0.5;
  with_rates.run.report.steps.predicted = time;
  const auto html = page(with_rates);
  EXPECT_THAT(html, HasSubstr("A step takes at least <data value=\"0.75\">750\u202fms</data>, most of it matrix products; it took 500\u202fms."));
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">disk, read</th><td><data value=\"0.125\">125\u202fms</data></td>"));
}

TEST(PageFiles, AFolderIsReadWhole) {
  const TemporaryFolder folder;
  const auto report = report_of_ranks(2);
  folder.write("config.yaml",
               "data: {train: text.txt}\ntraining: {steps: 2, global_batch_size: 4, micro_batch_size: 2, seq_len: 16}\noptimizer: {lr: 0.1}\n"
               "model: {vocab_size: 64, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16}\n");
  folder.write("metrics.jsonl", to_json(step(1, kNaN)) + "\n" + to_json(step(2, 3)) + "\n");
  const auto missing = message_of(ErrorKind::missing_input, [&] { read_run(folder.path()); });
  EXPECT_THAT(missing, HasSubstr("report.json: there is no such file; a run writes it at its end"));
  folder.write("report.json", report_json(report));
  const auto run = read_run(folder.path());
  EXPECT_EQ(report_json(run.report), report_json(report));
  ASSERT_EQ(run.steps.size(), 2u);
  EXPECT_TRUE(std::isnan(run.steps[0].loss));
  EXPECT_EQ(run.steps[1].loss, 3);
  EXPECT_EQ(run.settings.training.seq_len, 16);
  EXPECT_EQ(run.configuration, folder.read("config.yaml"));
  folder.write("metrics.jsonl", to_json(step(2, 3)) + "\n" + to_json(step(2, 3)) + "\n");
  EXPECT_THAT(message_of(ErrorKind::bad_data, [&] { read_run(folder.path()); }), HasSubstr("metrics.jsonl:2 is damaged: step is 2 after 2"));
  EXPECT_THAT(message_of(ErrorKind::missing_input, [&] { read_run(folder.file("report.json")); }), HasSubstr("it is no folder"));
}

}  // namespace
}  // namespace zerorun::page
