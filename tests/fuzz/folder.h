// The folder that a target puts its bytes into, and what a target may say of them.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace zerorun {

inline void require(bool condition) {
  if (!condition) std::abort();
}

// Of this process, removed at its end.
class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "zerorun-fuzz-XXXXXX").string()) { require(::mkdtemp(path_.data()) != nullptr); }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream file(path_ + "/" + name, std::ios::binary | std::ios::trunc);
    require(static_cast<bool>(file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()));
  }

 private:
  std::string path_;
};

}  // namespace zerorun
