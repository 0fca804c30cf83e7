#include "launcher/run_folder.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "tests/launcher/expect_error.h"
#include "tests/launcher/temporary_folder.h"

namespace zerorun {
namespace {

using testing::HasSubstr;

// Forwards to the real files; the `fails_at`-th operation (counted from 1) returns `error` instead.
class FaultyFileSystem : public FileSystem {
 public:
  explicit FaultyFileSystem(int fails_at = 0, int error = ENOSPC) : fails_at_(fails_at), error_(error) {}

  int create_folders(const std::string& path) override { return fault("create") ? error_ : real_->create_folders(path); }
  int rename(const std::string& from, const std::string& to) override {
    return fault("rename") ? error_ : real_->rename(from, to);
  }
  int64_t size_of(const std::string& path) override { return real_->size_of(path); }
  int open(const std::string& path, Mode mode, std::unique_ptr<OutputFile>& file) override {
    if (fault("open")) return error_;
    std::unique_ptr<OutputFile> opened;
    const int error = real_->open(path, mode, opened);
    if (error == 0) file = std::make_unique<FaultyFile>(*this, std::move(opened));
    return error;
  }

  bool fault(const char* operation) {
    if (++operations_ != fails_at_) return false;
    failed_ = operation;
    return true;
  }
  int operations() const { return operations_; }
  const std::string& failed() const { return failed_; }

 private:
  class FaultyFile : public OutputFile {
   public:
    FaultyFile(FaultyFileSystem& files, std::unique_ptr<OutputFile> real) : files_(files), real_(std::move(real)) {}
    int write(std::string_view data) override { return files_.fault("write") ? files_.error_ : real_->write(data); }
    int flush() override { return files_.fault("flush") ? files_.error_ : real_->flush(); }
    int close() override { return files_.fault("close") ? files_.error_ : real_->close(); }

   private:
    FaultyFileSystem& files_;
    std::unique_ptr<OutputFile> real_;
  };

  std::unique_ptr<FileSystem> real_ = make_file_system();
  int fails_at_, error_, operations_ = 0;
  std::string failed_;
};

// Opens another file than asked for.
class RedirectedFileSystem : public FaultyFileSystem {
 public:
  RedirectedFileSystem(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  int open(const std::string& path, Mode mode, std::unique_ptr<OutputFile>& file) override {
    return FaultyFileSystem::open(path.ends_with(from_) ? to_ : path, mode, file);
  }

 private:
  std::string from_, to_;
};

StepMetrics step_metrics(int64_t step) {
  return {.step = step, .loss = 5.5, .lr = 1e-3, .grad_norm = 0.7, .tokens = 512, .seconds = 0.25, .validation_loss = {}};
}

void whole_run(FileSystem& files, const std::string& path) {
  RunFolder folder(files, path);
  folder.write_config("run:\n  name: x\n");
  folder.append(step_metrics(1));
  folder.append(step_metrics(2));
  folder.close();
  folder.write_report("{}\n");
}

TEST(RunFolder, LeavesConfigMetricsAndReport) {
  const TemporaryFolder temporary;
  FaultyFileSystem files;
  whole_run(files, temporary.file("runs/deep/x"));
  EXPECT_EQ(temporary.read("runs/deep/x/config.yaml"), "run:\n  name: x\n");
  EXPECT_EQ(temporary.read("runs/deep/x/report.json"), "{}\n");
  EXPECT_FALSE(std::filesystem::exists(temporary.file("runs/deep/x/report.json.partial")));
  const std::string metrics = temporary.read("runs/deep/x/metrics.jsonl");
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 2);
}

TEST(RunFolder, AStepIsInTheFileWhenAppendReturns) {
  const TemporaryFolder temporary;
  FaultyFileSystem files;
  RunFolder folder(files, temporary.file("x"));
  folder.append(step_metrics(1));
  const auto line = nlohmann::json::parse(temporary.read("x/metrics.jsonl"));
  EXPECT_EQ(line, nlohmann::json::parse(R"({"step": 1, "loss": 5.5, "lr": 0.001, "grad_norm": 0.7, "tokens": 512,
                                            "seconds": 0.25, "tokens_per_second": 2048.0})"));
}

TEST(RunFolder, AValidationLossIsThereWhereOneWasTaken) {
  StepMetrics metrics = step_metrics(1);
  EXPECT_THAT(to_json(metrics), testing::Not(HasSubstr("validation_loss")));
  metrics.validation_loss = 4.5;
  EXPECT_THAT(to_json(metrics), HasSubstr("\"validation_loss\":4.5"));
}

TEST(RunFolder, AFolderThatAnotherRunWritesToIsRefused) {
  const TemporaryFolder temporary;
  FaultyFileSystem files;
  const RunFolder first(files, temporary.file("x"));
  const std::string message = message_of(ErrorKind::cannot_create, [&] { RunFolder(files, temporary.file("x")); });
  EXPECT_THAT(message, HasSubstr("under way"));
}

// Every operation of a whole run fails once: each is seen, named, and of the right kind.
class FailingOperation : public testing::TestWithParam<int> {};

TEST_P(FailingOperation, EndsTheRunWithItsFileNamed) {
  const int error = GetParam();
  const TemporaryFolder temporary;
  FaultyFileSystem sound;
  whole_run(sound, temporary.file("sound"));
  ASSERT_GE(sound.operations(), 14);
  for (int at = 1; at <= sound.operations(); ++at) {
    FaultyFileSystem files(at, error);
    const std::string path = temporary.file(fmt::format("x{}", at));
    const std::string message = message_of(ErrorKind::io, [&] { whole_run(files, path); });
    EXPECT_THAT(message, HasSubstr(path)) << files.failed();
    EXPECT_THAT(message, HasSubstr(std::generic_category().message(error))) << files.failed();
    EXPECT_FALSE(std::filesystem::exists(path + "/report.json")) << files.failed();
  }
}

INSTANTIATE_TEST_SUITE_P(Errors, FailingOperation, testing::Values(ENOSPC, EIO, EDQUOT));

TEST(RunFolder, SeesAFullDiskInTheRealFiles) {
  for (const char* name : {"metrics.jsonl", "config.yaml", "report.json.partial"}) {
    const TemporaryFolder temporary;
    RedirectedFileSystem files(name, "/dev/full");
    const std::string message = message_of(ErrorKind::io, [&] { whole_run(files, temporary.file("x")); });
    EXPECT_THAT(message, HasSubstr(temporary.file("x/") + name + ": No space left on device"));
  }
}

TEST(FileSystem, AWriteLargerThanTheBufferSeesAFullDiskItself) {
  std::unique_ptr<OutputFile> file;
  ASSERT_EQ(make_file_system()->open("/dev/full", FileSystem::Mode::truncate, file), 0);
  EXPECT_EQ(file->write(std::string(1 << 20, 'x')), ENOSPC);
}

TEST(RunFolder, AFolderThatCannotBeMadeCannotBeCreated) {
  const TemporaryFolder temporary;
  temporary.write("file", "not a folder");
  FaultyFileSystem files;
  const std::string message = message_of(ErrorKind::cannot_create, [&] { RunFolder(files, temporary.file("file/x")); });
  EXPECT_THAT(message, testing::AllOf(HasSubstr(temporary.file("file/x")), HasSubstr("run.dir")));
  FaultyFileSystem refusing(1, EACCES);
  message_of(ErrorKind::cannot_create, [&] { RunFolder(refusing, temporary.file("y")); });
  FaultyFileSystem read_only(2, EROFS);
  message_of(ErrorKind::cannot_create, [&] { RunFolder(read_only, temporary.file("y")); });
}

TEST(RunFolder, AnEarlierRunIsNeverTouched) {
  const TemporaryFolder temporary;
  FaultyFileSystem files;
  whole_run(files, temporary.file("x"));
  const std::string metrics = temporary.read("x/metrics.jsonl");
  const std::string message = message_of(ErrorKind::cannot_create, [&] { whole_run(files, temporary.file("x")); });
  EXPECT_THAT(message, testing::AllOf(HasSubstr("already holds a run"), HasSubstr("run.name")));
  EXPECT_EQ(temporary.read("x/metrics.jsonl"), metrics);
  std::filesystem::remove(temporary.file("x/report.json"));  // as after a kill
  message_of(ErrorKind::cannot_create, [&] { whole_run(files, temporary.file("x")); });
  EXPECT_EQ(temporary.read("x/metrics.jsonl"), metrics);
}

TEST(RunFolder, AConfigurationOfTheUserIsNeverOverwritten) {
  const TemporaryFolder temporary;
  temporary.write("config.yaml", "mine");
  FaultyFileSystem files;
  for (int again = 0; again < 2; ++again) {
    message_of(ErrorKind::cannot_create, [&] { whole_run(files, temporary.path()); });
    EXPECT_EQ(temporary.read("config.yaml"), "mine");
  }
}

TEST(RunFolder, WeightsInTheFolderOfTheExportAreNeverOverwritten) {
  const TemporaryFolder temporary;
  std::filesystem::create_directories(temporary.file("x/hf"));
  temporary.write("x/hf/model.safetensors", "mine");
  FaultyFileSystem files;
  const std::string message = message_of(ErrorKind::cannot_create, [&] { whole_run(files, temporary.file("x")); });
  EXPECT_THAT(message, HasSubstr("already holds weights in hf/"));
  EXPECT_FALSE(std::filesystem::exists(temporary.file("x/metrics.jsonl")));
}

TEST(RunFolder, ARunThatNeverTookAStepLeavesItsFolderFree) {
  const TemporaryFolder temporary;
  FaultyFileSystem files;
  {
    RunFolder folder(files, temporary.file("x"));
    folder.write_config("old");
  }
  EXPECT_NO_THROW(whole_run(files, temporary.file("x")));
  EXPECT_EQ(temporary.read("x/config.yaml"), "run:\n  name: x\n");
}

}  // namespace
}  // namespace zerorun
