#include "offload/disk_store.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

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

}  // namespace
}  // namespace zerorun::test
