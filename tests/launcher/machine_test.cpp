#include "launcher/machine.h"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "tests/launcher/expect_error.h"
#include "tests/launcher/temporary_folder.h"

namespace zerorun {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// A machine with 1000 MiB available and no limits.
class FakeMachine : public testing::Test {
 protected:
  void SetUp() override {
    folder_.write("proc/meminfo", "MemTotal:  2048000 kB\nMemFree: 1 kB\nMemAvailable:   1024000 kB\n");
    folder_.write("proc/self/cgroup", "0::/\n");
    folder_.write("proc/self/statm", "1000 500 100 1 0 200 0\n");
    write_limits("unlimited", "unlimited");
  }
  void write_limits(const std::string& address_space, const std::string& data) {
    folder_.write("proc/self/limits", "Limit                     Soft Limit           Hard Limit           Units\n"
                                      "Max data size             " + data + "            unlimited            bytes\n"
                                      "Max address space         " + address_space + "            unlimited            bytes\n");
  }
  MemoryAtHand at_hand() const { return memory_at_hand(folder_.path()); }

  TemporaryFolder folder_;
};

TEST_F(FakeMachine, WithoutLimitsHasWhatIsAvailable) {
  EXPECT_EQ(at_hand().bytes, 1000 * kMiB);
  EXPECT_EQ(at_hand().source, "MemAvailable");
}

TEST_F(FakeMachine, ACgroupV2LimitBinds) {
  folder_.write("proc/self/cgroup", "0::/user/job\n");
  folder_.write("sys/fs/cgroup/user/job/memory.max", std::to_string(300 * kMiB) + "\n");
  folder_.write("sys/fs/cgroup/user/job/memory.current", std::to_string(100 * kMiB) + "\n");
  EXPECT_EQ(at_hand().bytes, 200 * kMiB);
  EXPECT_EQ(at_hand().source, "the cgroup's memory limit");
}

TEST_F(FakeMachine, TellsTheSmallestCgroupLimitWhateverIsUsed) {
  EXPECT_EQ(cgroup_memory_limit(folder_.path()), std::nullopt);
  folder_.write("proc/self/cgroup", "0::/user/job\n");
  folder_.write("sys/fs/cgroup/user/job/memory.max", "max\n");
  folder_.write("sys/fs/cgroup/user/memory.max", std::to_string(300 * kMiB) + "\n");
  folder_.write("sys/fs/cgroup/user/memory.current", std::to_string(100 * kMiB) + "\n");
  EXPECT_EQ(cgroup_memory_limit(folder_.path()), 300 * kMiB);
}

TEST_F(FakeMachine, ALimitOfAParentCgroupBinds) {
  folder_.write("proc/self/cgroup", "0::/user/job\n");
  folder_.write("sys/fs/cgroup/user/job/memory.max", "max\n");
  folder_.write("sys/fs/cgroup/user/memory.max", std::to_string(50 * kMiB) + "\n");
  folder_.write("sys/fs/cgroup/user/memory.current", "0\n");
  EXPECT_EQ(at_hand().bytes, 50 * kMiB);
}

TEST_F(FakeMachine, InAContainerTheMountItselfBinds) {
  folder_.write("proc/self/cgroup", "0::/docker/of-the-host\n");
  folder_.write("sys/fs/cgroup/memory.max", std::to_string(60 * kMiB) + "\n");
  folder_.write("sys/fs/cgroup/memory.current", std::to_string(10 * kMiB) + "\n");
  EXPECT_EQ(at_hand().bytes, 50 * kMiB);
}

TEST_F(FakeMachine, FileCacheThatCanBeDroppedDoesNotCount) {
  folder_.write("sys/fs/cgroup/memory.max", std::to_string(300 * kMiB) + "\n");
  folder_.write("sys/fs/cgroup/memory.current", std::to_string(290 * kMiB) + "\n");
  folder_.write("sys/fs/cgroup/memory.stat", "anon 1\nactive_file 5\ninactive_file " + std::to_string(200 * kMiB) + "\n");
  EXPECT_EQ(at_hand().bytes, 210 * kMiB);
}

TEST_F(FakeMachine, ACgroupV1LimitBinds) {
  folder_.write("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/job\n0::/\n");
  folder_.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  folder_.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", std::to_string(300 * kMiB) + "\n");
  folder_.write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", std::to_string(250 * kMiB) + "\n");
  const std::string cache = std::to_string(50 * kMiB);
  folder_.write("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file " + cache + "\n");
  EXPECT_EQ(at_hand().bytes, 100 * kMiB);
}

TEST_F(FakeMachine, AnExhaustedLimitLeavesNothing) {
  folder_.write("sys/fs/cgroup/memory.max", std::to_string(10 * kMiB) + "\n");
  folder_.write("sys/fs/cgroup/memory.current", std::to_string(20 * kMiB) + "\n");
  EXPECT_EQ(at_hand().bytes, 0);
}

TEST_F(FakeMachine, ResourceLimitsBindTheProcessNotTheHost) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const auto of_process = [&] { return memory_at_hand_of_process(folder_.path()); };
  write_limits("unlimited", "unlimited");
  EXPECT_FALSE(of_process().has_value());
  write_limits(std::to_string(100 * kMiB), "unlimited");
  EXPECT_EQ(of_process()->bytes, 100 * kMiB - 1000 * page);
  EXPECT_THAT(of_process()->source, testing::HasSubstr("ulimit -v"));
  write_limits("unlimited", std::to_string(90 * kMiB));
  EXPECT_EQ(of_process()->bytes, 90 * kMiB - 200 * page);
  EXPECT_THAT(of_process()->source, testing::HasSubstr("ulimit -d"));
  EXPECT_EQ(at_hand().source, "MemAvailable");
}

TEST_F(FakeMachine, WithoutMeminfoIsAnError) {
  std::filesystem::remove(folder_.file("proc/meminfo"));
  EXPECT_THAT(message_of(ErrorKind::io, [&] { at_hand(); }), testing::HasSubstr("/proc/meminfo"));
}

TEST(Machine, ThisOneHasMemoryAndCores) {
  EXPECT_GT(memory_at_hand().bytes, 0);
  EXPECT_GE(usable_cores(), 1);
}

TEST(Machine, AnonymousMemoryCountsTouchedPagesAndNoSharedOnes) {
  constexpr int64_t kBytes = 64 * kMiB, kSlack = 8 * kMiB;
  const auto touched = [](int flags) {
    const int64_t before = process_anonymous_bytes();
    void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    std::memset(memory, 1, kBytes);
    const int64_t more = process_anonymous_bytes() - before;
    munmap(memory, kBytes);
    return more;
  };
  EXPECT_NEAR(touched(MAP_PRIVATE), kBytes, kSlack);
  EXPECT_NEAR(touched(MAP_SHARED), 0, kSlack);
}

}  // namespace
}  // namespace zerorun
