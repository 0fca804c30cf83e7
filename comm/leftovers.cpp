#include "comm/leftovers.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace zerorun {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "pid.";

bool is_ours(const fs::path& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 && status.st_uid == getuid();
}

bool is_of_process_that_is_gone(const fs::path& session) {
  const std::string name = session.filename().string();
  const int process = name.starts_with(kPrefix) ? std::atoi(name.c_str() + kPrefix.size()) : 0;
  return process > 0 && kill(process, 0) != 0 && errno == ESRCH;
}

}  // namespace

void remove_leftovers(const std::string& sessions) noexcept try {
  std::error_code none;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(sessions, none)) {
    if (is_of_process_that_is_gone(entry.path()) && is_ours(entry.path())) left.push_back(entry.path());
  }
  for (const auto& session : left) fs::remove_all(session, none);
} catch (const std::exception&) {
  // No reason not to start.
}

}  // namespace zerorun
