#include "launcher/page/report_command.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <ostream>

#include "core/error.h"
#include "launcher/build.h"
#include "launcher/file_system.h"
#include "launcher/page/page.h"
#include "launcher/page/timeline_chart.h"
#include "launcher/prediction.h"

namespace zerorun::page {
namespace {

std::string words_of(const ModelConfig& config) {
  return std::visit(
      [](const auto& model) {
        constexpr bool llama = std::is_same_v<std::decay_t<decltype(model)>, LlamaConfig>;
        return fmt::format("{}, {} block{} of width {}", llama ? "A LLaMA" : "A GPT-2", model.num_hidden_layers, model.num_hidden_layers == 1 ? "" : "s",
                           model.hidden_size);
      },
      config);
}

// An earlier page may go; nothing else is overwritten.
void refuse_if_taken(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return;
  std::string front(std::string_view(kFront).size(), '\0');
  if (status.type() == std::filesystem::file_type::regular) {
    std::ifstream(path, std::ios::binary).read(front.data(), static_cast<std::streamsize>(front.size()));
    if (front == kFront) return;
  }
  fail(ErrorKind::cannot_create, "{} is there already, and is no page of zerorun report: choose another place with --out", path);
}

void write(const std::string& path, const std::string& text) {
  refuse_if_taken(path);
  const auto files = make_file_system();
  const auto failed = replace_file(*files, path, text);
  if (failed.error && failed.in_writing) fail(ErrorKind::io, "cannot write {}: {}", failed.path, system_message(failed.error));
  if (failed.error) fail(ErrorKind::cannot_create, "cannot create {}: {}", path, system_message(failed.error));
}

}  // namespace

// What a report does not say is who reads whose memory, and whether there was anything to evaluate: the dry run that foretells what the run had foretold knows.
TimelineOfRun timeline_of(const RunFiles& run) {
  const auto& [settings, report] = std::tie(run.settings, run.report);
  const Model model = make_model(settings);
  const auto& first = report.memory.front();
  const Side device = first.gpu ? Side::gpu : Side::host;
  const bool validates = !std::holds_alternative<std::monostate>(settings.data.validation);
  std::optional<TimelineOfRun> best;
  for (const auto readers : device == Side::gpu ? std::vector{Readers::gpus, Readers::owner} : std::vector{Readers::all, Readers::host, Readers::owner}) {
    for (const int64_t windows : validates ? std::vector<int64_t>{1, 0} : std::vector<int64_t>{0}) {
      TimelineOfRun found;
      const auto prediction = predict(settings, model, {.ranks = report.world_size, .threads = report.threads, .readers = readers, .device = device}, windows, &found.timeline);
      const auto same = [&](int c) { return prediction.memory.peak[static_cast<size_t>(c)] == first.categories[static_cast<size_t>(c)].predicted; };
      bool all_same = prediction.memory.total_peak == first.total.predicted;
      for (int c = 0; c < kCategoryCount; ++c) all_same = all_same && same(c);
      if (all_same) return found;
      found.note = fmt::format("This zerorun, on this machine, predicts {} at most; the run had predicted {}.", readable_bytes(prediction.memory.total_peak),
                               readable_bytes(first.total.predicted));
      if (!best) best = std::move(found);
    }
  }
  return *best;
}

void report(const std::string& folder, const std::string& out_path, std::ostream& out) {
  Contents contents{read_run(folder), "", {}, ""};
  contents.model = words_of(model_config(contents.run.settings));
  try {
    auto found = timeline_of(contents.run);
    contents.timeline = std::move(found.timeline);
    contents.about_timeline = std::move(found.note);
  } catch (const Error& error) {
    contents.about_timeline = fmt::format("It cannot be drawn here: {}", error.what());
  }
  const std::string path = out_path.empty() ? (std::filesystem::path(folder) / "report.html").string() : out_path;
  write(path, page(contents));
  out << path << '\n';
}

}  // namespace zerorun::page
