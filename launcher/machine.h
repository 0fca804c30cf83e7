// What the machine has to offer: memory, cores.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace zerorun {

struct MemoryAtHand {
  int64_t bytes = 0;   // that could still be taken; 0 when a limit is exhausted
  std::string source;  // which bound it is: "MemAvailable", "the cgroup's memory limit", "the limit of the address space"
};

// The smallest of MemAvailable and what is left of the memory limits of the process's cgroup and of the cgroups above it
// (v1 and v2; file cache that can be dropped does not count as used). Ranks of one host share it. `root` is put before
// /proc and /sys. Throws Error(io) when /proc/meminfo cannot be read.
MemoryAtHand memory_at_hand(const std::string& root = "");

// The smallest memory limit of the process's cgroup and of those above it, bytes; none without one. `root` as above.
std::optional<int64_t> cgroup_memory_limit(const std::string& root = "");

// What is left of RLIMIT_AS and RLIMIT_DATA: each process has its own. Nothing without such a limit.
std::optional<MemoryAtHand> memory_at_hand_of_process(const std::string& root = "");

// What is missing where each of `processes` on this host takes `more` bytes than it has now; nothing where they fit.
struct Shortage {
  int64_t needed;  // bytes, of one process or of all
  bool of_one_process;
  MemoryAtHand at_hand;
};
std::optional<Shortage> memory_shortage(int64_t more, int processes);

// Resident anonymous memory of this process, bytes: resident - shared of /proc/self/statm. Shared windows and mapped
// files are not in it. About 5 us a call; the kernel's counters lag by up to 256 KiB a thread.
int64_t process_anonymous_bytes();

// Cores that this process may run on (sched_getaffinity), at least 1. CPU quotas do not count.
int usable_cores();

}  // namespace zerorun
