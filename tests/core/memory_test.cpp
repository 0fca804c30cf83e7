#include "core/memory.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <thread>

#include "core/error.h"
#include "core/threads.h"

namespace zerorun {
namespace {

at::Tensor bytes(int64_t count, at::Device device = at::kCPU) { return at::empty({count}, at::TensorOptions().dtype(at::kByte).device(device)); }

class MemoryOn : public ::testing::TestWithParam<c10::DeviceType> {
 protected:
  at::Tensor take(int64_t count) { return bytes(count, at::Device(GetParam())); }
  MemoryLedger ledger_;
};

INSTANTIATE_TEST_SUITE_P(Devices, MemoryOn, ::testing::Values(at::kCPU, at::kMeta),
                         [](const auto& info) { return info.param == at::kCPU ? "Cpu" : "Meta"; });

TEST_P(MemoryOn, BytesAreChargedToTheInnermostScopeAndDischargedWhenFreed) {
  {
    const MemoryScope outer(ledger_, Category::activations);
    const auto a = take(1000);
    const MemoryScope inner(Category::workspace);
    const auto b = take(24);
    EXPECT_EQ(ledger_.usage().now_of(Category::activations), 1000);
    EXPECT_EQ(ledger_.usage().now_of(Category::workspace), 24);
    EXPECT_EQ(ledger_.usage().total_now, 1024);
  }
  EXPECT_EQ(ledger_.usage().total_now, 0);
  EXPECT_EQ(ledger_.usage().peak_of(Category::activations), 1000);
}

TEST_P(MemoryOn, TheTotalIsThePeakOfTheSumNotTheSumOfPeaks) {
  {
    const MemoryScope scope(ledger_, Category::gradients);
    take(1000);
  }
  {
    const MemoryScope scope(ledger_, Category::optimizer);
    take(600);
  }
  EXPECT_EQ(ledger_.usage().peak_of(Category::gradients), 1000);
  EXPECT_EQ(ledger_.usage().peak_of(Category::optimizer), 600);
  EXPECT_EQ(ledger_.usage().total_peak, 1000);
  ledger_.reset_peaks();
  EXPECT_EQ(ledger_.usage().total_peak, 0);
}

TEST_P(MemoryOn, AFreeOnAnotherThreadFindsItsLedger) {
  at::Tensor tensor;
  {
    const MemoryScope scope(ledger_, Category::parameters);
    tensor = take(512);
  }
  MemoryLedger other;
  std::thread([&] {
    const MemoryScope scope(other, Category::gradients);
    tensor = at::Tensor();
  }).join();
  EXPECT_EQ(ledger_.usage().now_of(Category::parameters), 0);
  EXPECT_EQ(other.usage().now_of(Category::gradients), 0);
}

TEST_P(MemoryOn, ABlockMayOutliveItsLedger) {
  at::Tensor tensor;
  {
    MemoryLedger short_lived;
    const MemoryScope scope(short_lived, Category::parameters);
    tensor = take(512);
  }
  tensor = at::Tensor();
}

TEST_P(MemoryOn, WithoutAScopeBytesAreUnscoped) {
  const auto before = unscoped_usage();
  const auto tensor = take(4096);
  EXPECT_EQ(unscoped_usage().now_of(Category::unscoped), before.now_of(Category::unscoped) + 4096);
  EXPECT_EQ(ledger_.usage().total_now, 0);
}

TEST(Memory, RanksThatAreThreadsHaveLedgersOfTheirOwn) {
  MemoryLedger ledgers[2];
  std::thread threads[2];
  for (int i = 0; i < 2; ++i) {
    threads[i] = std::thread([&, i] {
      const MemoryScope scope(ledgers[i], Category::activations);
      for (int k = 0; k < 100; ++k) bytes(100 * (i + 1));
    });
  }
  for (auto& thread : threads) thread.join();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ledgers[i].usage().peak_of(Category::activations), 100 * (i + 1));
}

TEST(Memory, ComputeWorkersChargeToTheScopeOfTheThreadTheyWorkFor) {
  const auto unscoped_before = unscoped_usage().total_peak;
  std::thread([&] {
    set_compute_threads(3);
    MemoryLedger ledger;
    const MemoryScope scope(ledger, Category::activations);
    std::vector<at::Tensor> kept(3);
    at::parallel_for(0, 3, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) kept[i] = bytes(1000);
    });
    EXPECT_EQ(ledger.usage().now_of(Category::activations), 3000);
  }).join();
  EXPECT_EQ(unscoped_usage().total_peak, unscoped_before);
}

TEST(Memory, HostAndDiskDoNotCountInTheDevicesTotal) {
  MemoryLedger ledger;
  ledger.charge(Category::host, 100);
  ledger.charge(Category::disk, 200);
  ledger.charge(Category::parameters, 7);
  EXPECT_EQ(ledger.usage().total_now, 7);
  EXPECT_EQ(ledger.usage().now_of(Category::host), 100);
  ledger.charge(Category::parameters, -7);
  EXPECT_EQ(ledger.usage().total_now, 0);
  EXPECT_EQ(ledger.usage().total_peak, 7);
}

TEST(Memory, ATensorThatCannotBeHadIsAnErrorThatSaysHowLargeItWas) {
  try {
    bytes(int64_t{1} << 55);
    FAIL() << "2^55 bytes were given";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("36028797018963968"), std::string::npos) << error.what();
  }
}

constexpr int64_t kMebibyte = 1 << 20;

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

int64_t resident_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::stoll(line.substr(8));
  }
  throw std::runtime_error("no RssAnon in /proc/self/status");
}

TEST_P(MemoryOn, LargeBlocksReuseEachOthersPlaceInTheArena) {
  const MemoryScope scope(ledger_, Category::activations);
  for (int i = 0; i < 3; ++i) take(kMebibyte);
  EXPECT_EQ(ledger_.usage().total_peak, kMebibyte);
  EXPECT_EQ(ledger_.usage().arena_overhead, 64);  // the block's header
}

TEST_P(MemoryOn, GapsBetweenLargeBlocksAreOverhead) {
  const MemoryScope scope(ledger_, Category::activations);
  auto low = take(kMebibyte);
  const auto high = take(kMebibyte);
  low = at::Tensor();
  const auto above = take(2 * kMebibyte);  // too wide for the gap below
  EXPECT_EQ(ledger_.usage().total_peak, 3 * kMebibyte);
  EXPECT_EQ(ledger_.usage().arena_overhead, kMebibyte + 3 * 64);
}

TEST_P(MemoryOn, SmallBlocksAndChargedBytesLieElsewhere) {
  const MemoryScope scope(ledger_, Category::activations);
  take(kMebibyte);
  { const auto small = take(1000); }
  ledger_.charge(Category::host, 5000);  // not the device's
  EXPECT_EQ(ledger_.usage().arena_overhead, 64 + 1000);  // the small one at another moment than the large one
  ledger_.charge(Category::host, -5000);
}

TEST(Residency, PagesOfFreedLargeBlocksAreThereForTheNext) {
  MemoryLedger ledger;
  const MemoryScope scope(ledger, Category::activations);
  const auto use = [] {
    for (int i = 0; i < 4; ++i) bytes(8 * kMebibyte).fill_(i);
  };
  use();
  const int64_t before = page_faults();
  use();
  EXPECT_LT(page_faults() - before, 50);  // afresh it would be 8192 pages
}

TEST(Residency, TheArenasPagesGoBackToTheKernelWithTheLastOfLedgerAndBlocks) {
  const int64_t before = resident_kilobytes();
  at::Tensor tensor;
  {
    MemoryLedger ledger;
    const MemoryScope scope(ledger, Category::activations);
    bytes(64 * kMebibyte).fill_(1);
    tensor = bytes(kMebibyte).fill_(2);
  }
  EXPECT_GT(resident_kilobytes() - before, 60 << 10);
  EXPECT_EQ(tensor[kMebibyte - 1].item<uint8_t>(), 2);
  tensor = at::Tensor();
  EXPECT_LT(resident_kilobytes() - before, 8 << 10);
}

TEST(Memory, DataIsAlignedForVectors) {
  for (const int64_t count : {1, 1000, 65535, 65536, 65537, 1 << 20}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes(count).data_ptr()) % 64, 0u) << count;
  }
}

TEST(Memory, LedgersOfOneMomentHaveArenasApart) {
  constexpr int kLedgers = 8;
  MemoryLedger ledgers[kLedgers];
  std::vector<at::Tensor> tensors;
  for (int i = 0; i < kLedgers; ++i) {
    const MemoryScope scope(ledgers[i], Category::activations);
    tensors.push_back(bytes(3 * kMebibyte).fill_(i));
  }
  for (int i = 0; i < kLedgers; ++i) {
    EXPECT_TRUE(tensors[i].eq(i).all().item<bool>()) << i;
    EXPECT_EQ(ledgers[i].usage().arena_overhead, 64) << i;
  }
}

// Takes tensors where the process may grow by 256 MiB, and exits with what the one that is too large says.
void take_under_a_limit() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  const rlim_t limit = pages * sysconf(_SC_PAGESIZE) + 256 * kMebibyte;
  const rlimit both{limit, limit};
  setrlimit(RLIMIT_AS, &both);
  MemoryLedger ledger;
  const MemoryScope scope(ledger, Category::activations);
  const auto fits = bytes(128 * kMebibyte);
  try {
    bytes(512 * kMebibyte);
  } catch (const Error& error) {
    const auto another = bytes(64 * kMebibyte);  // what was refused took nothing
    std::cerr << error.what() << ", overhead " << ledger.usage().arena_overhead;
    std::exit(static_cast<int>(error.kind()));
  }
}

TEST(MemoryDeathTest, ALimitOfTheAddressSpaceCountsWhatIsUsed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(take_under_a_limit(), ::testing::ExitedWithCode(83), "no memory for a tensor of 536870912 bytes.*, overhead 128");
}

TEST(MemoryOfAGpu, WhatTheHostGivesOutLiesBesideTheDevice) {
  MemoryLedger ledger(Side::gpu);
  const MemoryScope scope(ledger, Category::activations);
  const auto tokens = bytes(1000), large = bytes(100'000);
  EXPECT_EQ(ledger.usage().now_of(Category::host), 101'000);
  EXPECT_EQ(ledger.usage().now_of(Category::activations), 0);
  EXPECT_EQ(ledger.usage().total_now, 0);
  EXPECT_EQ(ledger.usage().arena_overhead, 0);
}

TEST(MemoryOfAGpu, AllThatIsForetoldLiesInItsArenaWithoutHeaders) {
  MemoryLedger ledger(Side::gpu);
  const MemoryScope scope(ledger, Category::activations);
  EXPECT_EQ(device_of_scope(), Side::gpu);
  const auto small = bytes(1, at::kMeta), other = bytes(513, at::kMeta);
  EXPECT_EQ(ledger.usage().total_now, 514);
  EXPECT_EQ(ledger.usage().arena_overhead, 512 + 1024 - 514);
  const MemoryScope host(Category::host);
  const auto beside = bytes(700, at::kMeta);
  EXPECT_EQ(ledger.usage().now_of(Category::host), 700);
  EXPECT_EQ(ledger.usage().total_now, 514);
  EXPECT_EQ(ledger.usage().gpu_reserved, int64_t{2} << 20) << "one page";
  const PagesCharge charge((int64_t{2} << 20) + 1);
  EXPECT_EQ(ledger.usage().gpu_reserved, int64_t{6} << 20) << "and two beside the arena";
}

}  // namespace
}  // namespace zerorun
