#include "launcher/run_folder.h"

#include <cerrno>

#include "core/error.h"

namespace zerorun {
namespace {

constexpr const char* kConfig = "config.yaml";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kReport = "report.json";
constexpr const char* kTrace = "trace.json";
constexpr const char* kWeights = "hf/model.safetensors";

bool is_disk_error(int error) { return error == ENOSPC || error == EDQUOT || error == EIO || error == EFBIG; }

void check_created(int error, const std::string& path) {
  if (error == 0) return;
  if (error == EWOULDBLOCK) fail(ErrorKind::cannot_create, "{} belongs to a run that is under way; choose another run.name (--set run.name=...)", path);
  const ErrorKind kind = is_disk_error(error) ? ErrorKind::io : ErrorKind::cannot_create;
  fail(kind, "cannot create {}: {}; choose another folder with run.dir", path, system_message(error));
}

void check_written(int error, const std::string& path) {
  if (error != 0) fail(ErrorKind::io, "cannot write {}: {}", path, system_message(error));
}

}  // namespace

RunFolder::RunFolder(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {
  refuse_if_taken();
  check_created(files_.create_folders(path_), path_);
  metrics_ = open(file(kMetrics), FileSystem::Mode::append);  // first of all: it marks the folder as this run's
  refuse_if_taken();  // by a run that ended in between
}

void RunFolder::refuse_if_taken() {
  const bool has_metrics = files_.size_of(file(kMetrics)) >= 0;
  const bool has_run = files_.size_of(file(kReport)) >= 0 || files_.size_of(file(kMetrics)) > 0;
  const bool has_foreign_config = !has_metrics && files_.size_of(file(kConfig)) >= 0;
  const bool has_weights = files_.size_of(file(kWeights)) >= 0;
  if (!has_run && !has_foreign_config && !has_weights) return;
  fail(ErrorKind::cannot_create, "{} already holds {}: choose another run.name (--set run.name=...), or move the folder away", path_,
       has_run ? "a run" : has_weights ? "weights in hf/, which a run writes to" : "a config.yaml that no run wrote");
}

std::unique_ptr<OutputFile> RunFolder::open(const std::string& path, FileSystem::Mode mode) {
  std::unique_ptr<OutputFile> opened;
  check_created(files_.open(path, mode, opened), path);
  return opened;
}

void RunFolder::write_config(std::string_view yaml) { write_whole(kConfig, yaml); }

void RunFolder::write_trace(std::string_view json) { write_whole(kTrace, json); }

void RunFolder::write_whole(const char* name, std::string_view text) {
  const auto output = open(file(name), FileSystem::Mode::truncate);
  check_written(output->write(text), file(name));
  check_written(output->close(), file(name));
}

void RunFolder::append(const StepMetrics& metrics) {
  check_written(metrics_->write(to_json(metrics) + "\n"), file(kMetrics));
  check_written(metrics_->flush(), file(kMetrics));
}

void RunFolder::write_report(std::string_view json) {
  const auto failed = replace_file(files_, file(kReport), json);
  check_written(failed.error, failed.path);
}

void RunFolder::close() {
  const int error = metrics_->close();
  metrics_.reset();
  check_written(error, file(kMetrics));
}

}  // namespace zerorun
