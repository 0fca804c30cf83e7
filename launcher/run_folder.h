// The folder that a run leaves behind: config.yaml, metrics.jsonl, report.json, trace.json. Rank 0 only.
//
// Nothing of an earlier run is ever overwritten: a folder with a report.json, with steps in metrics.jsonl, or with a
// config.yaml that no run wrote is refused, and so are one with weights in hf/, where the export goes (hf_export.h), and one that
// another run is writing to. A run that ended before its first step leaves its folder free.
// Errors: Error(cannot_create) when a folder or file cannot be made at the start, or is taken; Error(io) when the disk is
// full or fails, on any of open, write, flush, close, rename. Each names the file.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "launcher/file_system.h"
#include "launcher/step_metrics.h"

namespace zerorun {

class RunFolder {
 public:
  // Creates `path` with its parents and claims it. REQUIRES files outlives the run folder.
  RunFolder(FileSystem& files, std::string path);

  const std::string& path() const { return path_; }

  void write_config(std::string_view yaml);
  // One line, with the kernel when it returns: a killed run keeps its steps.
  void append(const StepMetrics& metrics);
  void write_trace(std::string_view json);
  // Beside its place first, then renamed: report.json is whole or absent.
  void write_report(std::string_view json);
  // The metrics are on the disk when it returns. REQUIRES no append afterwards.
  void close();

 private:
  std::string file(const char* name) const { return path_ + "/" + name; }
  void refuse_if_taken();
  void write_whole(const char* name, std::string_view text);
  std::unique_ptr<OutputFile> open(const std::string& path, FileSystem::Mode mode);

  FileSystem& files_;
  std::string path_;
  std::unique_ptr<OutputFile> metrics_;
};

}  // namespace zerorun
