// What HostCommunicator promises beyond the contract. Ranks are threads; tests/launcher has them as processes.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <future>
#include <thread>

#include "core/error.h"
#include "core/memory.h"
#include "tests/comm/host_ranks.h"

namespace zerorun::test {
namespace {

using testing::HasSubstr;

Span floats(const at::Tensor& buffer) { return {buffer.data_ptr(), buffer.numel() / 4, at::kFloat}; }

Span filled(Span span, float value) {
  std::fill_n(static_cast<float*>(span.data), span.count, value);
  return span;
}

float first(Span span) { return *static_cast<float*>(span.data); }

ErrorKind kind_of_failure(int size, const std::function<void(Communicator&)>& body, std::string* message = nullptr) {
  try {
    run_ranks_on_host(size, body);
  } catch (const Error& error) {
    if (message) *message = error.what();
    return error.kind();
  }
  return ErrorKind{};
}

TEST(HostCommunicator, ASliceWrittenByItsRankIsInEverybodysWholeWithoutACopy) {
  run_ranks_on_host(3, [](Communicator& communicator) {
    void* whole = nullptr;
    const at::Tensor own = communicator.allocate_slice(256, whole);
    ASSERT_NE(whole, nullptr);
    EXPECT_EQ(own.data_ptr(), static_cast<char*>(whole) + 256 * communicator.rank());
    const Span all{whole, 3 * 64, at::kFloat};
    filled(floats(own), static_cast<float>(communicator.rank() + 1));
    communicator.all_gather(floats(own), all).wait();
    for (int r = 0; r < 3; ++r) EXPECT_EQ(first(all.slice(r, 3)), r + 1);
    int mine = 0, others[3];
    communicator.exchange(&mine, others, sizeof mine);  // nobody reads any more
    if (communicator.rank() == 1) filled(floats(own), 7);
    communicator.exchange(&mine, others, sizeof mine);
    EXPECT_EQ(first(all.slice(1, 3)), 7);  // it is the same memory
  });
}

TEST(HostCommunicator, AGatherOfSlicesWaitsUntilTheirOwnersCameToIt) {
  run_ranks_on_host(2, [](Communicator& communicator) {
    void* whole = nullptr;
    const at::Tensor own = communicator.allocate_slice(64, whole);
    const Span all{whole, 32, at::kFloat};
    for (int round = 1; round <= 200; ++round) {
      filled(floats(own), static_cast<float>(round));
      Work work = communicator.all_gather(floats(own), all);
      work.wait();
      ASSERT_EQ(first(all.slice(1 - communicator.rank(), 2)), round);
      int mine = 0, others[2];
      communicator.exchange(&mine, others, sizeof mine);
    }
  });
}

TEST(HostCommunicator, ASliceIsChargedOnceToItsRank) {
  run_ranks_on_host(2, [](Communicator& communicator) {
    MemoryLedger ledger;
    {
      const MemoryScope scope(ledger, Category::parameters);
      void* whole = nullptr;
      const at::Tensor own = communicator.allocate_slice(1000, whole);
      EXPECT_EQ(ledger.usage().now_of(Category::parameters), 1000);
    }
    EXPECT_EQ(ledger.usage().now_of(Category::parameters), 0);
  });
  EXPECT_EQ(shared_bytes(), 0);
}

// In the engine a gather that was started ahead is waited for after a reduction, or before it.
TEST(HostCommunicator, RanksMayWaitInAnotherOrder) {
  run_ranks_on_host(3, [](Communicator& communicator) {
    const at::Tensor memory = communicator.allocate(3 * 256), sums = communicator.allocate(256), copies = communicator.allocate(3 * 256);
    std::vector<char> scratch(static_cast<size_t>(communicator.reduce_scratch_bytes(64, at::kFloat)));
    for (int round = 0; round < 50; ++round) {
      filled(floats(memory), 1);
      const Span own = filled(floats(sums), 2);
      Work reduce = communicator.reduce_scatter(floats(memory), own, {scratch.data(), static_cast<int64_t>(scratch.size()), at::kByte});
      Work gather = communicator.all_gather(floats(memory).slice(communicator.rank(), 3), floats(copies));
      if (communicator.rank() == round % 3) {
        gather.wait();
        reduce.wait();
      } else {
        reduce.wait();
        gather.wait();
      }
      ASSERT_EQ(first(own), 3);
      ASSERT_EQ(first(floats(copies).slice(2, 3)), 1);
    }
  });
}

TEST(HostCommunicator, WhatIsPutInMayBeChangedAfterWait) {
  run_ranks_on_host(4, [](Communicator& communicator) {
    const at::Tensor memory = communicator.allocate(4 * 4096), copies = communicator.allocate(4 * 4 * 4096);
    for (int round = 0; round < 200; ++round) {
      const Span mine = filled(floats(memory), static_cast<float>(round));
      communicator.all_gather(mine, floats(copies)).wait();
      filled(mine, -1);
      for (int r = 0; r < 4; ++r) ASSERT_EQ(first(floats(copies).slice(r, 4)), round);
    }
  });
}

TEST(HostCommunicator, MemoryOfOneRanksOwnMakesTheCollectiveAMessage) {
  run_ranks_on_host(3, [](Communicator& communicator) {
    const at::Tensor buffer = communicator.allocate(256);
    std::vector<float> own_memory(64), all(3 * 64);
    const bool elsewhere = communicator.rank() == 1;
    const Span mine = filled(elsewhere ? Span{own_memory.data(), 64, at::kFloat} : floats(buffer), static_cast<float>(communicator.rank()));
    communicator.all_gather(mine, {all.data(), 3 * 64, at::kFloat}).wait();
    for (int r = 0; r < 3; ++r) EXPECT_EQ(all[64 * r + 63], r);
  });
}

TEST(HostCommunicator, LongExchangesAndManyOfThemArrive) {
  run_ranks_on_host(2, [](Communicator& communicator) {
    for (int64_t bytes = 1; bytes < 2000; bytes += 97) {
      std::vector<char> mine(static_cast<size_t>(bytes), static_cast<char>(communicator.rank() + 1)), all(static_cast<size_t>(2 * bytes));
      for (int i = 0; i < 10; ++i) communicator.exchange(mine.data(), all.data(), bytes);
      EXPECT_EQ(all.front(), 1);
      EXPECT_EQ(all.back(), 2);
    }
  });
}

TEST(HostCommunicator, AnotherSizeIsADisagreementThatNamesBothCalls) {
  std::string message;
  const auto body = [](Communicator& communicator) {
    const at::Tensor buffer = communicator.allocate(1024);
    const Span full{buffer.data_ptr(), communicator.rank() == 1 ? 32 : 16, at::kFloat};
    communicator.all_gather(full.slice(communicator.rank(), 2), full).wait();
  };
  EXPECT_EQ(kind_of_failure(2, body, &message), ErrorKind::disagreement);
  EXPECT_THAT(message, HasSubstr("rank 0 calls all_gather of 8 x Float"));
  EXPECT_THAT(message, HasSubstr("rank 1 calls all_gather of 16 x Float"));
}

TEST(HostCommunicator, ARankThatEndedIsADisagreementNotAHang) {
  std::string message;
  const auto body = [](Communicator& communicator) {
    if (communicator.rank() == 1) return;
    int mine = 0, all[2];
    communicator.exchange(&mine, all, sizeof mine);
  };
  EXPECT_EQ(kind_of_failure(2, body, &message), ErrorKind::disagreement);
  EXPECT_THAT(message, HasSubstr("rank 1 has ended, but rank 0 calls exchange"));
}

TEST(HostCommunicator, WhoAbandonsTakesThePeersOutOfTheirCollectives) {
  std::atomic<int> freed = 0;
  run_ranks_on_host(3, [&](Communicator& communicator) {
    const at::Tensor buffer = communicator.allocate(3 * 64);
    const Span full = floats(buffer), own = full.slice(communicator.rank(), 3);
    Work work = communicator.all_gather(own, full);
    if (communicator.rank() == 0) return communicator.abandon();
    try {
      work.wait();
      int mine = 0, all[3];
      communicator.exchange(&mine, all, sizeof mine);  // the gather itself may have been done in time
    } catch (const PeerFailed&) {
      ++freed;
    }
    EXPECT_THROW(communicator.all_gather(own, full).wait(), PeerFailed);
  });
  EXPECT_EQ(freed, 2);
}

void meet(Communicator& communicator) {
  int mine = 0;
  std::vector<int> all(static_cast<size_t>(communicator.size()));
  communicator.exchange(&mine, all.data(), sizeof mine);
}

TEST(HostCommunicator, AWaitThatTakesTooLongSaysForWhomAndWhoWaitsWhere) {
  std::atomic<int> timeouts = 0;
  run_watched_ranks(4, {.timeout_seconds = 0.5, .on_lost_rank = {}}, [&](Communicator& communicator) {
    communicator.tell(Activity("backward of blocks.7, step 12"));
    meet(communicator);
    if (communicator.rank() == 2) {
      communicator.tell(Activity("update, step 12"));
      while (timeouts < 1) std::this_thread::yield();
      return;
    }
    try {
      meet(communicator);
    } catch (const PeerFailed&) {  // one of the others was the first to say so
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::timeout);
      EXPECT_THAT(error.what(), HasSubstr("rank 2 (process "));
      EXPECT_THAT(error.what(), HasSubstr("is in update, step 12; ranks 0, 1, 3 wait in exchange of 4 x Byte (backward of blocks.7, step 12)"));
      ++timeouts;
    }
  });
  EXPECT_GE(timeouts, 1);
}

TEST(HostCommunicator, ARankThatFailsByItselfIsNoRankThatEnded) {
  std::atomic<bool> waits = false;
  bool knows = false;
  const auto body = [&](Communicator& communicator) {
    if (communicator.rank() == 1) {
      while (!waits) std::this_thread::yield();
      fail(ErrorKind::io, "the disk is full");
    }
    waits = true;
    try {
      meet(communicator);
    } catch (const PeerFailed&) {
      knows = true;
    }
  };
  std::string message;
  EXPECT_EQ(kind_of_failure(2, body, &message), ErrorKind::io);
  EXPECT_EQ(message, "the disk is full");
  EXPECT_TRUE(knows);
}

TEST(HostCommunicator, ASkippedCollectiveIsNoticedAtTheNext) {
  std::string message;
  const auto body = [](Communicator& communicator) {
    for (int unit = 0; unit < 3; ++unit) {
      communicator.tell(Activity("forward of blocks." + std::to_string(unit)));
      if (communicator.rank() != 1 || unit != 1) meet(communicator);
    }
  };
  EXPECT_EQ(kind_of_failure(2, body, &message), ErrorKind::disagreement);
  EXPECT_THAT(message, HasSubstr("(forward of blocks.1), rank 1 calls exchange of 4 x Byte (forward of blocks.2)"));
}

TEST(ProcessWatch, TellsWhichProcessEnded) {
  const auto sleeper = [] {
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    return child;
  };
  const std::vector<int64_t> processes = {sleeper(), sleeper()};
  std::promise<int> ended;
  std::atomic<bool> told = false;
  const ProcessWatch watch(processes, [&](int index) {
    if (!told.exchange(true)) ended.set_value(index);
  });
  kill(static_cast<pid_t>(processes[1]), SIGSTOP);
  while (process_state(processes[1]) != 'T') std::this_thread::yield();
  kill(static_cast<pid_t>(processes[1]), SIGKILL);
  EXPECT_EQ(ended.get_future().get(), 1);
  EXPECT_EQ(process_state(processes[1]), 'Z');
  kill(static_cast<pid_t>(processes[0]), SIGKILL);
  for (const int64_t process : processes) waitpid(static_cast<pid_t>(process), nullptr, 0);
  EXPECT_EQ(process_state(processes[1]), 0);
}

TEST(SharedMemory, MoreThanThereIsIsAnErrorBeforeItIsTouched) {
  try {
    SharedMemory::create(int64_t{1} << 50);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::out_of_memory);
  }
}

TEST(SharedMemory, WhatNobodyHoldsCannotBeOpened) {
  SharedMemory memory = SharedMemory::create(4096);
  const auto handle = memory.handle();
  memory.close_descriptor();
  try {
    SharedMemory::open(handle);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::configuration);
    EXPECT_THAT(error.what(), HasSubstr("cannot share memory with process"));
  }
}

}  // namespace
}  // namespace zerorun::test
