#include "launcher/file_system.h"

#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace zerorun {
namespace {

class StdioFile : public OutputFile {
 public:
  explicit StdioFile(std::FILE* file) : file_(file) {}
  ~StdioFile() override {
    if (file_ != nullptr) std::fclose(file_);
  }

  int write(std::string_view data) override {
    errno = 0;
    return std::fwrite(data.data(), 1, data.size(), file_) == data.size() ? 0 : errno;
  }

  int flush() override { return std::fflush(file_) == 0 ? 0 : errno; }

  int close() override {
    int error = flush();
    // Devices and pipes cannot be synchronised, and need not be.
    if (error == 0 && fsync(fileno(file_)) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS) error = errno;
    if (std::fclose(file_) != 0 && error == 0) error = errno;
    file_ = nullptr;
    return error;
  }

 private:
  std::FILE* file_;
};

class LocalFileSystem : public FileSystem {
 public:
  int create_folders(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    return error.value();
  }

  int open(const std::string& path, Mode mode, std::unique_ptr<OutputFile>& file) override {
    std::FILE* opened = std::fopen(path.c_str(), mode == Mode::append ? "ae" : "we");
    if (opened == nullptr) return errno;
    file = std::make_unique<StdioFile>(opened);
    const bool is_taken = mode == Mode::append && flock(fileno(opened), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    return is_taken ? EWOULDBLOCK : 0;
  }

  int rename(const std::string& from, const std::string& to) override {
    return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
  }

  int64_t size_of(const std::string& path) override {
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) return -1;
    const auto bytes = std::filesystem::file_size(path, error);
    return error ? 0 : static_cast<int64_t>(bytes);
  }
};

}  // namespace

FileFailure replace_file(FileSystem& files, const std::string& path, std::string_view text) {
  const std::string beside = path + ".partial";
  std::unique_ptr<OutputFile> file;
  if (const int error = files.open(beside, FileSystem::Mode::truncate, file)) return {error, false, beside};
  if (const int error = file->write(text)) return {error, true, beside};
  if (const int error = file->close()) return {error, true, beside};
  return {files.rename(beside, path), false, path};
}

std::unique_ptr<FileSystem> make_file_system() { return std::make_unique<LocalFileSystem>(); }

}  // namespace zerorun
