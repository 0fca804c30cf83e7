// The few file operations of a run folder, behind an interface so that a test can make the n-th of them fail.
// Every operation returns 0 or errno; who calls makes the message.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace zerorun {

class OutputFile {
 public:
  virtual ~OutputFile() = default;  // closes; errors are lost, so call close() first
  virtual int write(std::string_view data) = 0;
  // What was written is with the kernel when it returns.
  virtual int flush() = 0;
  // Flushes, waits for the disk where the file is on one, closes. Once.
  virtual int close() = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // With its parents; a folder that is there already is no error.
  virtual int create_folders(const std::string& path) = 0;
  // A file that is appended to is one process's: opened by another it gives EWOULDBLOCK.
  enum class Mode { truncate, append };
  virtual int open(const std::string& path, Mode mode, std::unique_ptr<OutputFile>& file) = 0;
  virtual int rename(const std::string& from, const std::string& to) = 0;
  // Bytes of a file, or -1 when there is none.
  virtual int64_t size_of(const std::string& path) = 0;
};

std::unique_ptr<FileSystem> make_file_system();

// What replace_file() could not do.
struct FileFailure {
  int error = 0;            // errno; 0: it was done
  bool in_writing = false;  // else the file could not be made
  std::string path;         // that it was about
};

// Writes beside `path`, to `path`.partial, and renames that: the file is whole, or as it was.
FileFailure replace_file(FileSystem& files, const std::string& path, std::string_view text);

}  // namespace zerorun
