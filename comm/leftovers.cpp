#include "comm/leftovers.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

namespace zerorun {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> entries(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    if (entry.path().filename().string().starts_with(prefix)) found.push_back(entry.path());
  }
  return found;
}

bool is_ours(const fs::path& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 && status.st_uid == getuid();
}

// Open descriptors first: who makes a file opens it, maps it, and closes it.
bool is_held_by(const fs::path& process, const fs::path& file) {
  std::error_code none;
  for (const auto& descriptor : fs::directory_iterator(process / "fd", none)) {
    if (fs::read_symlink(descriptor.path(), none) == file) return true;
  }
  std::ifstream maps(process / "maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(file.string())) return true;
  }
  return false;
}

bool is_held(const fs::path& file) {
  for (const auto& process : entries("/proc", "")) {
    const auto name = process.filename().string();
    if (name.find_first_not_of("0123456789") == std::string::npos && is_held_by(process, file)) return true;
  }
  return false;
}

bool is_gone(const std::string& process) {
  const int number = std::atoi(process.c_str());
  return number > 0 && kill(number, 0) != 0 && errno == ESRCH;
}

}  // namespace

void remove_leftovers(const LeftoverFolders& folders, const std::string& own_job) noexcept try {
  std::error_code none;
  for (const auto& file : entries(folders.shared_memory, "vader_segment.")) {
    const bool own = !own_job.empty() && file.filename().string().find("." + own_job + ".") != std::string::npos;
    if (!own && is_ours(file) && !is_held(file)) fs::remove(file, none);
  }
  for (const auto& session : entries(folders.sessions, "pid.")) {
    if (is_ours(session) && is_gone(session.filename().string().substr(4))) fs::remove_all(session, none);
  }
} catch (const std::exception&) {
  // No reason not to start.
}

}  // namespace zerorun
