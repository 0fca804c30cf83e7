// The folder that a target puts its bytes into, and what a target may say of them.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

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

// What `read` makes of the bytes; nothing where it refuses them with an Error of one of `kinds` that names `what`.
template <typename Read>
auto accepted(Read&& read, std::initializer_list<ErrorKind> kinds, const std::string& what) {
  std::optional<decltype(read())> found;
  try {
    found.emplace(read());
  } catch (const Error& error) {
    require(std::ranges::find(kinds, error.kind()) != kinds.end());
    require(std::string_view(error.what()).find(what) != std::string_view::npos);
  }
  return found;
}

}  // namespace zerorun
