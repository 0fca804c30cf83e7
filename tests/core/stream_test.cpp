#include "core/stream.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

std::string error_of(const Event& event) {
  try {
    event.wait();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST(Stream, RunsInOrderOfSubmissionOnOneOtherThread) {
  std::vector<int> order;
  std::vector<std::thread::id> threads;
  {
    ThreadStream stream;
    for (int i = 0; i < 100; ++i) {
      stream.submit([&, i] {
        order.push_back(i);
        threads.push_back(std::this_thread::get_id());
      });
    }
  }
  ASSERT_EQ(order.size(), 100u) << "destruction drains";
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(order[i], i);
    EXPECT_EQ(threads[i], threads[0]);
  }
  EXPECT_NE(threads[0], std::this_thread::get_id());
}

TEST(Stream, WaitReturnsAfterTheTaskHasRun) {
  ThreadStream stream;
  for (int i = 0; i < 100; ++i) {
    int result = 0;
    const Event done = stream.submit([&] { result = i; });
    done.wait();
    EXPECT_EQ(result, i);
    EXPECT_TRUE(done.has_happened());
  }
}

TEST(Stream, ATaskComesAfterTheEventsOfOtherStreams) {
  std::promise<void> gate;
  std::atomic<int> order = 0;
  int first = 0, second = 0;
  ThreadStream slow, quick;
  const Event opened = slow.submit([&] {
    gate.get_future().wait();
    first = ++order;
  });
  const Event after = quick.submit([&] { second = ++order; }, {Event(), opened});
  EXPECT_FALSE(after.has_happened());
  gate.set_value();
  after.wait();
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
}

TEST(Stream, AnErrorTravelsToWaitAndFailsAllLaterTasksAndThoseThatWaitForThem) {
  bool ran = false;
  ThreadStream stream, other;
  const Event before = stream.submit([] {});
  const Event failing = stream.submit([] { fail(ErrorKind::io, "the wire broke"); });
  const Event after = stream.submit([&] { ran = true; });
  const Event elsewhere = other.submit([&] { ran = true; }, {after});
  EXPECT_EQ(error_of(elsewhere), "the wire broke");
  EXPECT_EQ(error_of(after), "the wire broke");
  EXPECT_EQ(error_of(failing), "the wire broke");
  EXPECT_EQ(error_of(before), "");
  EXPECT_EQ(error_of(stream.submit([&] { ran = true; })), "the wire broke");
  EXPECT_FALSE(ran);
}

// Events of steps refer to those before them: who kept a task kept all of a training.
TEST(Stream, AnEventKeepsNothingOfATaskThatHasRun) {
  ThreadStream stream;
  const auto used = std::make_shared<int>(1);
  Event before = stream.submit([used] {});
  const Event after = stream.submit([used] {}, {std::exchange(before, {})});
  after.finish();
  stream.submit([] {}).finish();  // the thread is past the task before
  EXPECT_EQ(used.use_count(), 1);
}

TEST(Stream, AnEventOutlivesItsStream) {
  Event failed;
  {
    ThreadStream stream;
    failed = stream.submit([] { fail(ErrorKind::io, "the wire broke"); });
  }
  EXPECT_EQ(error_of(failed), "the wire broke");
}

}  // namespace
}  // namespace zerorun
