#include "comm/staged_communicator.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "comm/thread_communicator.h"
#include "core/error.h"
#include "core/memory.h"
#include "tests/comm/played_device.h"

namespace zerorun {
namespace {

using test::LateCopies;

// Spans of several pieces, the last of which is short: the suite's fit one.
TEST(StagedCommunicator, SpansLongerThanItsBufferArriveWhole) {
  for (const int ranks : {1, 3}) {
    run_ranks(ranks, [&](Communicator& host) {
      StagedCommunicator communicator(host, std::make_unique<LateCopies>(), host_buffer);
      const int64_t count = 3 * (4 << 20) / 8 / ranks + 77;
      std::vector<double> full(static_cast<size_t>(count * ranks)), slice(static_cast<size_t>(count)), gathered(full.size());
      std::iota(full.begin(), full.end(), host.rank() * 1000.0);
      std::vector<double> all = full;
      std::vector<char> scratch(static_cast<size_t>(communicator.reduce_scratch_bytes(count, at::kDouble)));
      const auto span = [](auto& of, at::ScalarType dtype) { return Span{of.data(), static_cast<int64_t>(of.size()), dtype, Side::gpu}; };
      communicator.reduce_scatter(span(full, at::kDouble), span(slice, at::kDouble), span(scratch, at::kByte), {}).wait();
      communicator.all_gather(span(slice, at::kDouble), span(gathered, at::kDouble)).wait();
      communicator.all_reduce(span(all, at::kDouble), span(scratch, at::kByte)).wait();
      for (size_t i = 0; i < gathered.size(); ++i) {
        const double expected = static_cast<double>(i) * ranks + 1000.0 * (ranks * (ranks - 1) / 2);
        ASSERT_EQ(gathered[i], expected) << i;
        ASSERT_EQ(all[i], expected) << i;
      }
    });
  }
}

TEST(StagedCommunicator, ItsBuffersAreMemoryOfTheHostAndDoNotGrow) {
  run_ranks(2, [](Communicator& host) {
    MemoryLedger ledger;
    const MemoryScope scope(ledger, Category::communication);
    StagedCommunicator communicator(host, std::make_unique<LateCopies>(), host_buffer);
    const int64_t staged = ledger.usage().now_of(Category::host);
    EXPECT_GT(staged, 0);
    EXPECT_LE(staged, 6 << 20);
    std::vector<float> full(8 << 20);
    const Span whole{full.data(), static_cast<int64_t>(full.size()), at::kFloat, Side::gpu};
    communicator.all_gather(whole.slice(host.rank(), 2), whole).wait();
    EXPECT_EQ(ledger.usage().peak_of(Category::host), staged);
    EXPECT_EQ(ledger.usage().peak_of(Category::communication), 0);
  });
}

TEST(StagedCommunicator, ASliceIsItsOwnersAlone) {
  run_ranks(2, [](Communicator& host) {
    StagedCommunicator communicator(host, std::make_unique<LateCopies>(), host_buffer);
    EXPECT_EQ(communicator.readers(), Readers::owner);
    void* whole = &communicator;
    EXPECT_EQ(communicator.allocate_slice(100, whole).numel(), 100);
    EXPECT_EQ(whole, nullptr);
  });
}

}  // namespace
}  // namespace zerorun
