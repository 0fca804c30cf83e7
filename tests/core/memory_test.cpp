#include "core/memory.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

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

std::atomic<int64_t> observed{0};

TEST(Memory, ANewPeakIsReportedAtTheNextRelease) {
  observed = 0;
  observe_peaks([](int64_t peak) { observed = peak; });
  { const auto large = bytes(int64_t{64} << 20); EXPECT_LT(observed, int64_t{64} << 20); }
  observe_peaks(nullptr);
  EXPECT_GE(observed, int64_t{64} << 20);
}

TEST(Memory, ANewObserverHearsOfPeaksBelowThoseBeforeIt) {
  { const auto larger = bytes(int64_t{64} << 20); }
  observed = 0;
  observe_peaks([](int64_t peak) { observed = peak; });
  { const auto large = bytes(int64_t{32} << 20); }
  observe_peaks(nullptr);
  EXPECT_GE(observed, int64_t{32} << 20);
  EXPECT_LT(observed, int64_t{64} << 20);
}

}  // namespace
}  // namespace zerorun
