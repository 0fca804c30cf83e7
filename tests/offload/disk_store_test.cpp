#include "offload/disk_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "core/error.h"
#include "tests/offload/stores.h"

namespace zerorun::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class DiskStoreErrors : public testing::Test {
 protected:
  std::string message_of(ErrorKind kind, const std::string& folder, int64_t bytes) {
    try {
      const DiskStore store(folder, bytes, ledger_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "no error";
  }

  MemoryLedger ledger_;
};

TEST_F(DiskStoreErrors, AFolderThatIsNotThereIsNamed) {
  EXPECT_THAT(message_of(ErrorKind::cannot_create, "/nowhere/at/all", kStoreAlignment), AllOf(HasSubstr("/nowhere/at/all"), HasSubstr("No such file or directory")));
}

TEST_F(DiskStoreErrors, MemoryIsNoDisk) { EXPECT_THAT(message_of(ErrorKind::configuration, "/dev/shm", kStoreAlignment), HasSubstr("/dev/shm is tmpfs, which is memory")); }

TEST_F(DiskStoreErrors, ADiskThatIsFullIsNamedWithWhatIsFree) {
  EXPECT_THAT(message_of(ErrorKind::io, disk_folder(), int64_t{1} << 50), AllOf(HasSubstr("1125899906842624 bytes cannot be taken"), HasSubstr("bytes are free")));
  EXPECT_EQ(ledger_.usage().now_of(Category::disk), 0);
}

TEST(DiskStore, LeavesNoNameInItsFolder) {
  const auto folder = std::filesystem::path(disk_folder()) / ("store" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  MemoryLedger ledger;
  const DiskStore first(folder, kStoreAlignment, ledger), second(folder, kStoreAlignment, ledger);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove(folder);
}

TEST(DiskStore, OutlivesTheRemovalOfItsFolder) {
  const auto folder = std::filesystem::path(disk_folder()) / ("removed" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  MemoryLedger ledger;
  DiskStore store(folder, 4 * kStoreAlignment, ledger);
  std::filesystem::remove_all(folder);
  AlignedMemory in(4 * kStoreAlignment), out(4 * kStoreAlignment);
  in.fill(6);
  store.write({0, in.bytes});
  store.read({0, out.bytes});
  EXPECT_TRUE(std::ranges::equal(in.bytes, out.bytes));
}

TEST(DiskStore, SaysWhatItDoesWithout) {
  MemoryLedger ledger;
  rlimit files;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  const int free_number = dup(0);
  close(free_number);
  const rlimit room_for_one{static_cast<rlim_t>(free_number) + 1, files.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &room_for_one), 0);
  const DiskStore store(disk_folder(), kStoreAlignment, ledger);  // its rings are files too
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_THAT(store.note(), HasSubstr("io_uring cannot be used (Too many open files), so threads read and write"));
}

TEST(DiskStore, MovesFromAndToMemoryThatItKnowsAndOther) {
  for (const bool uring : {true, false}) {
    MemoryLedger ledger;
    DiskStore store(disk_folder(), 8 * kStoreAlignment, ledger, {.blocks = {.block_bytes = kStoreAlignment, .depth = 3}, .may_use_uring = uring});
    AlignedMemory known(8 * kStoreAlignment), other(8 * kStoreAlignment);
    for (const auto part : {std::span(known.bytes), std::span(known.bytes).subspan(3 * kStoreAlignment), std::span<std::byte>()}) {
      store.use_memory(part);
      known.fill(part.size());
      store.write({0, known.bytes});  // partly from memory that it knows
      store.read({0, other.bytes});
      EXPECT_TRUE(std::ranges::equal(known.bytes, other.bytes));
      std::ranges::fill(known.bytes, std::byte{0});
      store.read({0, known.bytes});
      EXPECT_TRUE(std::ranges::equal(known.bytes, other.bytes));
    }
    EXPECT_EQ(store.note(), "");
  }
}

// Of a process of its own, in which 4 KiB may be locked: of a ring, or of buffers once there is one. 0 where the store says `what` and works.
int status_with_little_locked_memory(int place, bool before_the_ring, const std::string& what) {
  const auto limit = [] {
    const rlimit little{4096, 4096};
    return setrlimit(RLIMIT_MEMLOCK, &little) == 0;
  };
  if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) return 1;  // root may lock what it likes
  if (before_the_ring && !limit()) return 1;
  MemoryLedger ledger;
  DiskStore store("/proc/self/fd/" + std::to_string(place), 4 * kStoreAlignment, ledger);
  if (!limit()) return 1;
  AlignedMemory in(4 * kStoreAlignment), out(4 * kStoreAlignment);
  store.use_memory(in.bytes);
  if (store.note().find(what) == std::string::npos) return 2;
  in.fill(9);
  store.write({0, in.bytes});
  store.read({0, out.bytes});
  return std::ranges::equal(in.bytes, out.bytes) ? 0 : 3;
}

TEST(DiskStore, SaysWhatItCannotLockAndDoesWithout) {
  const auto folder = std::filesystem::path(disk_folder()) / ("locked" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  std::filesystem::permissions(folder, std::filesystem::perms::all);
  const int place = open(folder.c_str(), O_PATH);  // another user may not reach it by its name
  EXPECT_EXIT(_exit(status_with_little_locked_memory(place, true, "cannot")), testing::ExitedWithCode(0), "");  // older kernels count the buffers only
  EXPECT_EXIT(_exit(status_with_little_locked_memory(place, false, "its buffers cannot be locked in memory (Cannot allocate memory)")), testing::ExitedWithCode(0), "");
  close(place);
  std::filesystem::remove(folder);
}

}  // namespace
}  // namespace zerorun::test
