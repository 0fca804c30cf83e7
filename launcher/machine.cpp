#include "launcher/machine.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

std::optional<int64_t> parse_number(const std::string& word) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// The number that is all a file holds; none for "max" or a file that is not there.
std::optional<int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return parse_number(word);
}

// The number that follows `label` at the beginning of a line.
std::optional<int64_t> number_after(const std::string& path, const std::string& label) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(label)) continue;
    std::istringstream rest(line.substr(label.size()));
    std::string word;
    rest >> word;
    return parse_number(word);
  }
  return std::nullopt;
}

class SmallestBound {
 public:
  void consider(std::optional<int64_t> bytes, const char* source) {
    if (!bytes || (smallest_ && smallest_->bytes <= *bytes)) return;
    smallest_ = {std::max<int64_t>(*bytes, 0), source};
  }
  const std::optional<MemoryAtHand>& smallest() const { return smallest_; }

 private:
  std::optional<MemoryAtHand> smallest_;
};

struct CgroupFiles {
  const char* controller;  // its field in /proc/self/cgroup
  const char* mount;
  const char* limit;
  const char* usage;
  const char* cache;  // label in memory.stat
};

constexpr CgroupFiles kCgroupV1 = {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                   "total_inactive_file "};
constexpr CgroupFiles kCgroupV2 = {"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "};

// The path of this process's cgroup: the last field of the line "id:controllers:path" that names the controller.
std::optional<std::string> cgroup_path(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    if (controllers.find(fmt::format(",{},", controller)) != std::string::npos) return line.substr(second + 1);
  }
  return std::nullopt;
}

std::optional<int64_t> limit_of(const std::string& folder, const CgroupFiles& files) {
  const std::optional<int64_t> limit = number_in(folder + "/" + files.limit);
  constexpr int64_t kNoLimit = int64_t{1} << 62;  // v1 writes the largest multiple of a page
  return limit && *limit < kNoLimit ? limit : std::nullopt;
}

std::optional<int64_t> left_in(const std::string& folder, const CgroupFiles& files) {
  const std::optional<int64_t> limit = limit_of(folder, files);
  if (!limit) return std::nullopt;
  const int64_t usage = number_in(folder + "/" + files.usage).value_or(0);
  const int64_t cache = number_after(folder + "/memory.stat", files.cache).value_or(0);
  return *limit - std::max<int64_t>(usage - cache, 0);
}

// A limit of any cgroup from the process's own up to the mount binds. In a container the path may be the host's, of
// which only the mount itself is visible.
void consider_cgroup(const std::string& root, const CgroupFiles& files, decltype(left_in)& bytes_of, SmallestBound& bound) {
  std::optional<std::string> path = cgroup_path(root, files.controller);
  if (!path) return;
  while (true) {
    while (path->ends_with("/")) path->pop_back();
    bound.consider(bytes_of(root + files.mount + *path, files), "the cgroup's memory limit");
    if (path->empty()) return;
    const size_t parent = path->rfind('/');
    path->resize(parent == std::string::npos ? 0 : parent);
  }
}

std::vector<int64_t> read_statm(const std::string& root) {
  std::ifstream file(root + "/proc/self/statm");
  std::vector<int64_t> pages;
  for (int64_t value = 0; file >> value;) pages.push_back(value);
  return pages;
}

void consider_resource_limits(const std::string& root, SmallestBound& bound) {
  constexpr size_t kSize = 0, kData = 5;  // fields of statm, pages
  const std::vector<int64_t> pages = read_statm(root);
  if (pages.size() <= kData) return;
  const int64_t page = sysconf(_SC_PAGESIZE);
  const std::string limits = root + "/proc/self/limits";
  if (const auto limit = number_after(limits, "Max address space")) {
    bound.consider(*limit - pages[kSize] * page, "the limit of the address space (ulimit -v)");
  }
  if (const auto limit = number_after(limits, "Max data size")) {
    bound.consider(*limit - pages[kData] * page, "the limit of the data segment (ulimit -d)");
  }
}

}  // namespace

MemoryAtHand memory_at_hand(const std::string& root) {
  SmallestBound bound;
  const std::string meminfo = root + "/proc/meminfo";
  const std::optional<int64_t> available = number_after(meminfo, "MemAvailable:");
  if (!available) fail(ErrorKind::io, "cannot read MemAvailable from {}", meminfo);
  bound.consider(*available * 1024, "MemAvailable");
  consider_cgroup(root, kCgroupV1, left_in, bound);
  consider_cgroup(root, kCgroupV2, left_in, bound);
  return *bound.smallest();
}

std::optional<int64_t> cgroup_memory_limit(const std::string& root) {
  SmallestBound bound;
  consider_cgroup(root, kCgroupV1, limit_of, bound);
  consider_cgroup(root, kCgroupV2, limit_of, bound);
  return bound.smallest() ? std::optional(bound.smallest()->bytes) : std::nullopt;
}

std::optional<MemoryAtHand> memory_at_hand_of_process(const std::string& root) {
  SmallestBound bound;
  consider_resource_limits(root, bound);
  return bound.smallest();
}

std::optional<Shortage> memory_shortage(int64_t more, int processes) {
  const auto of_process = memory_at_hand_of_process();
  if (of_process && more > of_process->bytes) return Shortage{more, true, *of_process};
  const auto on_host = memory_at_hand();
  if (more * processes > on_host.bytes) return Shortage{more * processes, false, on_host};
  return std::nullopt;
}

int64_t process_anonymous_bytes() {
  static const int64_t page = sysconf(_SC_PAGESIZE);
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  char text[128] = {};
  const ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
  if (file >= 0) close(file);
  long long size = 0, resident = 0, shared = 0;
  if (length <= 0 || std::sscanf(text, "%lld %lld %lld", &size, &resident, &shared) != 3) {
    fail(ErrorKind::io, "cannot read the process's memory from /proc/self/statm");
  }
  return (resident - shared) * page;
}

int usable_cores() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace zerorun
