#include "comm/worker.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"

namespace zerorun {
namespace {

std::string error_of(Work work) {
  try {
    work.wait();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST(Worker, RunsInOrderOfSubmissionOnOneOtherThread) {
  std::vector<int> order;
  std::vector<std::thread::id> threads;
  {
    Worker worker;
    for (int i = 0; i < 100; ++i) {
      worker.submit([&, i] {
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

TEST(Worker, WaitReturnsAfterTheTaskHasRun) {
  Worker worker;
  for (int i = 0; i < 100; ++i) {
    int result = 0;
    worker.submit([&] { result = i; }).wait();
    EXPECT_EQ(result, i);
  }
}

TEST(Worker, AnErrorTravelsToWaitAndFailsAllLaterWork) {
  bool ran = false;
  Worker worker;
  Work before = worker.submit([] {});
  Work failing = worker.submit([] { fail(ErrorKind::io, "the wire broke"); });
  Work after = worker.submit([&] { ran = true; });
  EXPECT_EQ(error_of(after), "the wire broke");
  EXPECT_EQ(error_of(failing), "the wire broke");
  EXPECT_EQ(error_of(before), "");
  EXPECT_EQ(error_of(worker.submit([&] { ran = true; })), "the wire broke");
  EXPECT_FALSE(ran);
}

TEST(Worker, WorkOutlivesTheWorker) {
  Work failed;
  {
    Worker worker;
    failed = worker.submit([] { fail(ErrorKind::io, "the wire broke"); });
  }
  EXPECT_EQ(error_of(failed), "the wire broke");
}

}  // namespace
}  // namespace zerorun
