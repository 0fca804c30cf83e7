// Blocks that cannot be moved: the errors come from files that the kernel refuses to read or write.
#include "offload/block_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <system_error>

#include "tests/offload/stores.h"

namespace zerorun::test {
namespace {

using Make = std::unique_ptr<BlockIo> (*)(int, const BlockOptions&);

class BlockIoErrors : public testing::TestWithParam<Make> {
 protected:
  int error_of(int file, auto&& move) {
    const auto io = GetParam()(file, {.block_bytes = kStoreAlignment, .depth = 4});
    try {
      move(*io);
    } catch (const std::system_error& error) {
      return error.code().value();
    }
    return 0;
  }

  AlignedMemory memory_{16 * kStoreAlignment};
  const Extent extent_{0, memory_.bytes};
  const Extents all_{&extent_, 1};
};

TEST_P(BlockIoErrors, AWriteThatTheDiskHasNoRoomForIsAnError) {
  const int full = open("/dev/full", O_RDWR);
  EXPECT_EQ(error_of(full, [&](BlockIo& io) { io.write(all_); }), ENOSPC);
  close(full);
}

TEST_P(BlockIoErrors, AFileThatIsNotOpenForItIsAnError) {
  const int file = open("/dev/null", O_RDONLY);
  EXPECT_EQ(error_of(file, [&](BlockIo& io) { io.write(all_); }), EBADF);
  close(file);
}

TEST_P(BlockIoErrors, AFileThatEndsBeforeTheRangeIsAnErrorAndNoZeros) {
  const int file = open(disk_folder().c_str(), O_TMPFILE | O_RDWR, 0600);
  ASSERT_EQ(ftruncate(file, 5 * kStoreAlignment), 0);
  EXPECT_EQ(error_of(file, [&](BlockIo& io) { io.read(all_); }), EIO);
  const Extent part{0, memory_.bytes.first(5 * kStoreAlignment)};
  EXPECT_EQ(error_of(file, [&](BlockIo& io) { io.read(Extents(&part, 1)); }), 0);
  close(file);
}

INSTANTIATE_TEST_SUITE_P(Backends, BlockIoErrors, testing::Values(&make_uring_io, &make_threaded_io),
                         [](const auto& instance) { return instance.index == 0 ? "uring" : "threads"; });

}  // namespace
}  // namespace zerorun::test
