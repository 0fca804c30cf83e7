// One contract for every store.
#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "core/error.h"
#include "offload/verified_store.h"
#include "tests/offload/stores.h"

namespace zerorun::test {
namespace {

constexpr int64_t kUnit = kStoreAlignment;

class StoreContract : public testing::TestWithParam<StoreUnderTest> {
 protected:
  std::unique_ptr<Store> make(int64_t bytes) { return GetParam().make(bytes, ledger_); }

  MemoryLedger ledger_;
};

std::unique_ptr<Store> on_disk(int64_t bytes, MemoryLedger& ledger, DiskStoreOptions options) {
  return std::make_unique<DiskStore>(disk_folder(), bytes, ledger, options);
}

const StoreUnderTest kStores[] = {
    {"host", [](int64_t bytes, MemoryLedger& ledger) { return std::make_unique<HostStore>(bytes, ledger); }, 0},
    {"disk", [](int64_t bytes, MemoryLedger& ledger) { return on_disk(bytes, ledger, {}); }, 0},
    {"disk_small_blocks", [](int64_t bytes, MemoryLedger& ledger) { return on_disk(bytes, ledger, {.blocks = {.block_bytes = kUnit, .depth = 3}}); }, 0},
    {"disk_threads", [](int64_t bytes, MemoryLedger& ledger) { return on_disk(bytes, ledger, {.blocks = {.block_bytes = 2 * kUnit}, .may_use_uring = false}); }, 0},
    {"disk_verified", [](int64_t bytes, MemoryLedger& ledger) { return std::make_unique<VerifiedStore>(on_disk(bytes, ledger, {}), ledger); }, 8},
};

TEST_P(StoreContract, WhatIsWrittenIsRead) {
  const auto store = make(40 * kUnit);
  AlignedMemory in(17 * kUnit), out(17 * kUnit);
  in.fill(1);
  store->write({5 * kUnit, in.bytes});
  store->read({5 * kUnit, out.bytes});
  EXPECT_TRUE(std::ranges::equal(in.bytes, out.bytes));
}

TEST_P(StoreContract, PartsOfWhatIsWrittenAreRead) {
  const auto store = make(16 * kUnit);
  AlignedMemory in(16 * kUnit), out(3 * kUnit);
  in.fill(2);
  store->write({0, in.bytes});
  store->read({7 * kUnit, out.bytes});
  EXPECT_TRUE(std::ranges::equal(in.bytes.subspan(7 * kUnit, 3 * kUnit), out.bytes));
}

TEST_P(StoreContract, ManyExtentsMoveInOneCall) {
  const auto store = make(64 * kUnit);
  AlignedMemory in(32 * kUnit), out(32 * kUnit);
  in.fill(7);
  std::vector<Extent> to, from;
  for (int64_t i = 0, at = 0; at < 32; at += ++i) {  // 1, 2, 3, ... units, the last cut off, each with a gap behind it
    const auto begin = static_cast<size_t>(at * kUnit), size = static_cast<size_t>(std::min(i + 1, 32 - at) * kUnit);
    to.push_back({(2 * at) * kUnit, in.bytes.subspan(begin, size)});
    from.insert(from.begin(), {(2 * at) * kUnit, out.bytes.subspan(begin, size)});
  }
  store->write(to);
  store->read(from);
  EXPECT_TRUE(std::ranges::equal(in.bytes, out.bytes));
}

TEST_P(StoreContract, WhatLiesBesideAWriteStays) {
  const auto store = make(9 * kUnit);
  AlignedMemory before(9 * kUnit), middle(kUnit), after(9 * kUnit);
  before.fill(3);
  middle.fill(4);
  store->write({0, before.bytes});
  store->write({4 * kUnit, middle.bytes});
  store->read({0, after.bytes});
  std::ranges::copy(middle.bytes, before.bytes.begin() + 4 * kUnit);
  EXPECT_TRUE(std::ranges::equal(before.bytes, after.bytes));
}

TEST_P(StoreContract, IsZeroAtFirst) {
  const auto store = make(6 * kUnit);
  AlignedMemory out(6 * kUnit);
  out.fill(5);
  store->read({0, out.bytes});
  EXPECT_THAT(out.bytes, testing::Each(std::byte{0}));
}

TEST_P(StoreContract, RangesApartMoveFromSeveralThreads) {
  constexpr int kThreads = 4, kRounds = 20;
  const auto store = make(kThreads * 8 * kUnit);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&store, t] {
      AlignedMemory in(8 * kUnit), out(8 * kUnit);
      for (int round = 0; round < kRounds; ++round) {
        in.fill(static_cast<uint64_t>(t * 100 + round));
        store->write({t * 8 * kUnit, in.bytes});
        store->read({t * 8 * kUnit, out.bytes});
        EXPECT_TRUE(std::ranges::equal(in.bytes, out.bytes)) << "thread " << t << ", round " << round;
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST_P(StoreContract, ChargesWhatItHolds) {
  const auto held = [this] { return ledger_.usage().now_of(Category::host) + ledger_.usage().now_of(Category::disk); };
  {
    const auto store = make(5 * kUnit - 1);
    EXPECT_EQ(store->bytes(), 5 * kUnit);
    EXPECT_EQ(held(), 5 * (kUnit + GetParam().beside_a_unit));
    EXPECT_EQ(ledger_.usage().total_now, 0) << "none of it is the device's";
  }
  EXPECT_EQ(held(), 0);
}

TEST_P(StoreContract, ARangeThatDoesNotFitIsABug) {
  const auto store = make(4 * kUnit);
  AlignedMemory memory(2 * kUnit);
  const auto kind_of = [&](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::usage;
  };
  EXPECT_EQ(kind_of([&] { store->read({3 * kUnit, memory.bytes}); }), ErrorKind::bug) << "behind the end";
  EXPECT_EQ(kind_of([&] { store->read({512, memory.bytes}); }), ErrorKind::bug) << "offset";
  EXPECT_EQ(kind_of([&] { store->write({0, memory.bytes.first(512)}); }), ErrorKind::bug) << "size";
  EXPECT_EQ(kind_of([&] { store->write({0, memory.bytes.subspan(512, kUnit)}); }), ErrorKind::bug) << "address";
}

TEST_P(StoreContract, NothingMayBeHeld) {
  const auto store = make(0);
  store->write(Extent());
  store->read(Extent());
  EXPECT_EQ(store->bytes(), 0);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract, testing::ValuesIn(kStores), [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace zerorun::test
