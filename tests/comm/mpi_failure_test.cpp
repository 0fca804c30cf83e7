// What mpirun makes of ranks that go wrong: one exit status, the message, and no process left.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace zerorun {
namespace {

using testing::HasSubstr;

struct Ended {
  int status = -1;
  std::string output;
};

Ended run(const std::string& command) {
  Ended ended;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return ended;
  char line[1024];
  while (fgets(line, sizeof line, pipe)) ended.output += line;
  const int status = pclose(pipe);
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ended;
}

Ended run_ranks_that(const std::string& go_wrong, int ranks) {
  return run(std::string(ZERORUN_MPIRUN) + " --oversubscribe -np " + std::to_string(ranks) + " " + ZERORUN_FAILING_RANK + " " +
             go_wrong);
}

// A process that has ended but that nobody has waited for yet (state Z) is no longer running.
bool is_running(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  const size_t name_end = text.rfind(')');
  return name_end != std::string::npos && text.size() > name_end + 2 && text[name_end + 2] != 'Z';
}

// mpirun returns while its signals are still under way.
bool ends_soon(int pid) {
  for (int look = 0; look < 1000 && is_running(pid); ++look) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return !is_running(pid);
}

void expect_no_process_left(const Ended& ended, int ranks) {
  std::istringstream lines(ended.output);
  int started = 0;
  for (std::string line; std::getline(lines, line);) {
    int pid = 0;
    if (std::sscanf(line.c_str(), "pid %d", &pid) != 1) continue;
    ++started;
    EXPECT_TRUE(ends_soon(pid)) << pid;
  }
  EXPECT_EQ(started, ranks) << ended.output;
}

void expect_end(const std::string& go_wrong, int ranks, int status, const std::string& message) {
  const Ended ended = run_ranks_that(go_wrong, ranks);
  EXPECT_EQ(ended.status, status) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr(message));
  expect_no_process_left(ended, ranks);
}

TEST(MpiFailure, ARankThatThrowsEndsAllWithItsStatusAndMessage) {
  expect_end("throws", 3, 65, "rank 2: token 70000 is out of range");
}

TEST(MpiFailure, ARankThatThrowsWithACollectiveUnderWayDoesNotWaitForItsPeers) {
  expect_end("abandons", 2, 65, "rank 1: token 70000 is out of range");
}

TEST(MpiFailure, AnotherSizeIsADisagreement) { expect_end("longer", 2, 81, "ranks disagree"); }
TEST(MpiFailure, AnotherSizeAmongManyRanksIsADisagreement) { expect_end("longer", 4, 81, "ranks disagree"); }
TEST(MpiFailure, AnotherDtypeIsADisagreement) { expect_end("dtype", 3, 81, "rank 2 calls all_gather of 4000 bytes of Int"); }
TEST(MpiFailure, AnotherCollectiveIsADisagreement) { expect_end("kind", 3, 81, "ranks disagree"); }

TEST(MpiFailure, ASkippedCollectiveIsNoticedThoughTheNextLooksTheSame) { expect_end("skips", 2, 81, "calls all_gather of 4000 bytes of Float, in something else"); }

TEST(MpiFailure, ARankThatEndsBeforeInitDoesNotLeaveTheOthersWaiting) {
  expect_end("exits_before_init", 2, 82, "rank 0: MPI did not start within 3 s");
}

// mpirun notices this one itself, with a status and a message of its own.
TEST(MpiFailure, ARankThatEndsWhileTheOthersInitialiseEndsTheJob) {
  const Ended ended = run_ranks_that("exits_while_others_init", 2);
  EXPECT_NE(ended.status, 0) << ended.output;
  expect_no_process_left(ended, 2);
}

TEST(MpiFailure, ARankThatHangsBeforeInitDoesNotLeaveTheOthersWaiting) {
  expect_end("hangs_before_init", 2, 82, "rank 0: MPI did not start within 3 s");
}

TEST(MpiFailure, AnUnwoundSessionDoesNotWaitForItsPeers) {
  const Ended ended = run_ranks_that("unwinds", 2);
  EXPECT_EQ(ended.status, 65) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("token 70000 is out of range"));
}

TEST(MpiSession, CannotStartAnMpiThatWasFinalised) {
  const Ended ended = run_ranks_that("starts_again", 2);
  EXPECT_EQ(ended.status, 78) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("MPI has been finalised in this process"));
}

TEST(MpiSession, LeavesAnMpiThatTheCallerInitialisedInitialised) {
  const Ended ended = run(std::string(ZERORUN_FAILING_RANK) + " borrows");
  EXPECT_EQ(ended.status, 0) << ended.output;
}

}  // namespace
}  // namespace zerorun
