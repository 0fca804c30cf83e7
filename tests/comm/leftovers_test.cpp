#include "comm/leftovers.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

namespace zerorun {
namespace {

namespace fs = std::filesystem;

TEST(Leftovers, FoldersOfProcessesThatAreGoneGo) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  const auto sessions = fs::path(testing::TempDir()) / ("leftovers" + std::to_string(getpid()));
  const auto gone = sessions / ("pid." + std::to_string(child)), alive = sessions / ("pid." + std::to_string(getpid())), other = sessions / "jf.1";
  for (const auto& folder : {gone / "0" / "1", alive, other}) fs::create_directories(folder);
  remove_leftovers(sessions.string());
  EXPECT_FALSE(fs::exists(gone));
  EXPECT_TRUE(fs::exists(alive));
  EXPECT_TRUE(fs::exists(other));
  fs::remove_all(sessions);
}

TEST(Leftovers, AFolderThatIsNotThereIsNoError) { remove_leftovers("/nowhere/at/all"); }

}  // namespace
}  // namespace zerorun
