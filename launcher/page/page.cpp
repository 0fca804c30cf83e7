#include "launcher/page/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "launcher/page/bars.h"
#include "launcher/page/curves.h"
#include "launcher/page/markup.h"
#include "launcher/page/memory_section.h"
#include "launcher/page/run_facts.h"
#include "launcher/page/style.h"
#include "launcher/page/timeline_chart.h"

namespace zerorun::page {
namespace {

std::string section(const char* id, const char* title, const std::string& body) {
  return fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n", id, title, body);
}

std::string timeline_section(const Contents& contents) {
  const std::string note = contents.about_timeline.empty() ? "" : fmt::format("<p class=\"note\">{}</p>\n", escaped(contents.about_timeline));
  if (!contents.timeline) return note;
  const char* const highest = note.empty() ? " The highest point is the predicted total." : "";
  return fmt::format("<p>From left to right the events of one step on rank 0: the engine is made, units are computed forward and backward, parameters are updated. It "
                     "is what the prediction saw when it ran the step without data; nothing here was measured.{}</p>\n{}{}",
                     highest, note, timeline_chart(*contents.timeline));
}

std::string traffic_section(const Communication& communication) {
  const std::array<std::pair<const char*, const CollectiveTraffic*>, 4> lines{{{"all-gather", &communication.all_gather},
                                                                               {"reduce-scatter", &communication.reduce_scatter},
                                                                               {"all-reduce", &communication.all_reduce},
                                                                               {"control", &communication.control}}};
  std::vector<Bar> all;
  std::string rows;
  for (const auto& [name, traffic] : lines) {
    const ComparedBytes bytes{traffic->predicted_bytes_sent, traffic->bytes_sent};
    all.push_back({name, bytes, "bar plain"});
    if (traffic->calls == 0 && bytes.predicted == 0) continue;
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td class=\"soft\">{}</td><td>{}</td><td>{}</td></tr>\n", name,
                        data(traffic->calls, grouped(traffic->calls)), exact_bytes(bytes.predicted), exact_bytes(bytes.measured), readable(bytes.measured),
                        difference(bytes), data(traffic->seconds, seconds(traffic->seconds)));
  }
  const std::string chart = bars("traffic-bars", "Bytes that rank 0 sent over the run, by collective", all, "sent");
  const std::string head =
      "<tr><th scope=\"col\">collective</th><th scope=\"col\">calls</th><th scope=\"col\">predicted, bytes</th><th scope=\"col\" colspan=\"2\">sent, "
      "bytes</th><th scope=\"col\">difference</th><th "
      "scope=\"col\">waited</th></tr>";
  return "<p class=\"note\">Of rank 0, over the whole run, evaluations included.</p>\n<p class=\"note\"><span class=\"key\"><span class=\"swatch plain "
         "hollow\"></span>predicted before the first "
         "step</span><span class=\"key\"><span class=\"swatch plain\"></span>sent</span></p>\n" +
         (chart.empty() ? std::string("<p>One rank sends nothing.</p>\n") : fmt::format("<figure>{}</figure>\n", chart)) +
         table("bytes on the wire", head, rows);
}

std::string configuration_section(const RunFiles& run) {
  return fmt::format("<details><summary>config.yaml, each value with its origin</summary>\n<pre>{}</pre></details>\n", escaped(run.configuration));
}

}  // namespace

std::string page(const Contents& contents) {
  const auto& run = contents.run;
  const std::string name = escaped(run.settings.run.name);
  std::string html = kFront;
  html += fmt::format(
      "<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} \u2013 a run "
      "of zerorun</title>\n"
      "<style>{}</style>\n</head>\n<body>\n",
      name, kStyle);
  html += fmt::format("<header>\n<p class=\"over\">a run of zerorun</p>\n<h1>{}</h1>\n{}</header>\n<main>\n", name, head(run, contents.model));
  html += section("memory", "Memory, predicted and measured", memory_section(run.report));
  html += section("step", "Memory over one step", timeline_section(contents));
  html += section("losses", "Loss", loss_curve(run.steps) + small_curves(run.steps));
  html += section("time", "Time", time_section(run));
  html += section("traffic", "Bytes on the wire", traffic_section(run.report.communication));
  html += section("run", "The run", facts(run, contents.model));
  html += section("configuration", "Configuration", configuration_section(run));
  return html + "</main>\n<footer>Made by zerorun report from report.json, metrics.jsonl and config.yaml.</footer>\n</body>\n</html>\n";
}

}  // namespace zerorun::page
