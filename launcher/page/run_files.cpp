#include "launcher/page/run_files.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/error.h"

namespace zerorun::page {
namespace {

[[noreturn]] void fail_to_read(const std::string& path, const std::string& why, const std::string& hint) {
  fail(ErrorKind::missing_input, "cannot read {}: {}{}", path, why, hint);
}

std::ifstream open(const std::string& path, const std::string& hint) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (status.type() == std::filesystem::file_type::not_found) fail_to_read(path, "there is no such file", hint);
  if (status.type() != std::filesystem::file_type::none && status.type() != std::filesystem::file_type::regular) fail_to_read(path, "it is no file", hint);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_to_read(path, system_message(errno), hint);
  return file;
}

std::string text_of(const std::string& path, const std::string& hint) {
  auto file = open(path, hint);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) fail_to_read(path, system_message(errno), hint);
  return text;
}

std::vector<StepMetrics> steps_of(const std::string& path) {
  auto file = open(path, "; a run writes it step by step");
  std::vector<StepMetrics> steps;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    const auto place = fmt::format("{}:{}", path, ++number);
    steps.push_back(step_metrics_of(line, place));
    if (steps.size() > 1 && steps.back().step <= steps[steps.size() - 2].step) {
      fail(ErrorKind::bad_data, "{} is damaged: step is {} after {}, expected a later one", place, steps.back().step, steps[steps.size() - 2].step);
    }
  }
  if (steps.empty()) fail(ErrorKind::bad_data, "{} is empty, expected a line for each step", path);
  return steps;
}

}  // namespace

RunFiles read_run(const std::string& folder) {
  std::error_code error;
  const auto status = std::filesystem::status(folder, error);
  if (status.type() != std::filesystem::file_type::directory) {
    fail(ErrorKind::missing_input, "cannot read the run {}: {}, expected the folder of a run, such as runs/train", folder,
         error ? error.message() : "it is no folder");
  }
  RunFiles files;
  files.folder = folder;
  const auto path = [&](const char* name) { return (std::filesystem::path(folder) / name).string(); };
  files.report = report_of(text_of(path("report.json"), "; a run writes it at its end"), path("report.json"));
  files.steps = steps_of(path("metrics.jsonl"));
  files.configuration = text_of(path("config.yaml"), "; a run writes it at its start");
  files.settings = read_settings(path("config.yaml"));
  return files;
}

}  // namespace zerorun::page
