#include "comm/leftovers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace zerorun {
namespace {

namespace fs = std::filesystem;

class Leftovers : public testing::Test {
 protected:
  Leftovers() : folder_(fs::path(testing::TempDir()) / ("leftovers" + std::to_string(getpid()))) {
    fs::create_directories(folder_ / "shm");
    fs::create_directories(folder_ / "sessions");
  }
  ~Leftovers() override { fs::remove_all(folder_); }

  fs::path make_file(const std::string& name) {
    std::ofstream(folder_ / "shm" / name) << std::string(4096, 'x');
    return folder_ / "shm" / name;
  }
  void remove() { remove_leftovers({(folder_ / "shm").string(), (folder_ / "sessions").string()}, "7f0001"); }

  fs::path folder_;
};

TEST_F(Leftovers, FilesThatNobodyHoldsGo) {
  const auto left = make_file("vader_segment.host.0.10001.0"), other = make_file("somebody.else");
  remove();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(Leftovers, FilesThatAProcessHasOpenOrMapsStay) {
  const auto open_file = make_file("vader_segment.host.0.10001.0"), mapped = make_file("vader_segment.host.0.10001.1");
  const int descriptor = open(open_file.c_str(), O_RDWR), closed = open(mapped.c_str(), O_RDWR);
  void* memory = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, closed, 0);
  close(closed);
  remove();
  EXPECT_TRUE(fs::exists(open_file));
  EXPECT_TRUE(fs::exists(mapped));
  close(descriptor);
  munmap(memory, 4096);
  remove();
  EXPECT_FALSE(fs::exists(open_file));
  EXPECT_FALSE(fs::exists(mapped));
}

TEST_F(Leftovers, FilesOfTheJobThatStartsStay) {
  const auto own = make_file("vader_segment.host.0.7f0001.1");
  remove();
  EXPECT_TRUE(fs::exists(own));
}

TEST_F(Leftovers, SessionsOfProcessesThatAreGoneGo) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  const auto gone = folder_ / "sessions" / ("pid." + std::to_string(child)), alive = folder_ / "sessions" / ("pid." + std::to_string(getpid()));
  fs::create_directories(gone / "0" / "1");
  fs::create_directories(alive);
  remove();
  EXPECT_FALSE(fs::exists(gone));
  EXPECT_TRUE(fs::exists(alive));
}

TEST_F(Leftovers, FoldersThatAreNotThereAreNoError) { remove_leftovers({"/nowhere/at/all", "/nowhere/else"}, ""); }

}  // namespace
}  // namespace zerorun
