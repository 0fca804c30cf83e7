// Many buffers share what an allocator gives out in large pieces only.
#include "comm/slab_memory.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "comm/simulated_communicator.h"

namespace zerorun {
namespace {

constexpr int64_t kKiB = 1024, kMiB = 1024 * kKiB;

// A source of slabs of `granularity` bytes each or a multiple, over real memory, that counts.
struct Slabs {
  explicit Slabs(int64_t granularity)
      : memory(SlabMemory::of({.make =
                                   [this, granularity](int64_t least) {
                                     if (is_full) throw std::bad_alloc();
                                     const int64_t bytes = (least + granularity - 1) / granularity * granularity;
                                     made.push_back(bytes);
                                     return SlabMemory::Slab{new char[static_cast<size_t>(bytes)], bytes};
                                   },
                               .release =
                                   [this](char* data) {
                                     EXPECT_GT(settled, 0) << "given back while it may be read";
                                     ++released;
                                     delete[] data;
                                   },
                               .settle = [this] { ++settled; }})) {}

  std::vector<int64_t> made;
  int released = 0, settled = 0;
  bool is_full = false;
  MemoryLedger ledger{Side::gpu};
  std::shared_ptr<SlabMemory> memory;
};

TEST(SlabMemory, FillsASlabBeforeItMakesAnother) {
  Slabs slabs(16 * kMiB);
  const MemoryScope scope(slabs.ledger, Category::parameters);
  std::vector<SlabMemory::Buffer> buffers;
  for (int i = 0; i < 8; ++i) buffers.push_back(slabs.memory->take(2 * kMiB));
  EXPECT_EQ(slabs.made, std::vector<int64_t>{16 * kMiB});
  buffers.push_back(slabs.memory->take(1));
  EXPECT_EQ(slabs.made, (std::vector<int64_t>{16 * kMiB, 16 * kMiB}));
  EXPECT_EQ(buffers.back().slab, 1);
  EXPECT_EQ(slabs.ledger.usage().gpu_reserved, 32 * kMiB);
  EXPECT_EQ(slabs.ledger.usage().total_now, 0) << "buffers are charged by who makes tensors of them";
}

TEST(SlabMemory, PutsBuffersApartAtMultiplesOf4KiB) {
  Slabs slabs(kMiB);
  std::vector<SlabMemory::Buffer> buffers;
  for (const int64_t bytes : {1, 4096, 4097, 5}) {
    buffers.push_back(slabs.memory->take(bytes));
    std::fill_n(static_cast<char*>(buffers.back().memory.get()), bytes, static_cast<char>(bytes));
  }
  EXPECT_EQ(buffers[1].offset, 4096);
  EXPECT_EQ(buffers[2].offset, 8192);
  EXPECT_EQ(buffers[3].offset, 16384);
  EXPECT_EQ(*static_cast<char*>(buffers[0].memory.get()), 1);
  EXPECT_EQ(static_cast<char*>(buffers[3].memory.get()) - static_cast<char*>(buffers[0].memory.get()), 16384);
}

TEST(SlabMemory, MakesOneAsLargeAsABufferNeeds) {
  Slabs slabs(kMiB);
  const auto large = slabs.memory->take(5 * kMiB + 1);
  EXPECT_EQ(slabs.made, std::vector<int64_t>{6 * kMiB});
  EXPECT_EQ(slabs.memory->take(kMiB / 2).slab, 0) << "its rest is used";
}

TEST(SlabMemory, UsesAPlaceAgainAndReleasesWhatIsEmpty) {
  Slabs slabs(kMiB);
  auto first = slabs.memory->take(256 * kKiB);
  auto second = slabs.memory->take(256 * kKiB);
  first.memory.reset();
  EXPECT_EQ(slabs.released, 0);
  EXPECT_EQ(slabs.memory->take(100 * kKiB).offset, 0);
  {
    const MemoryScope scope(slabs.ledger, Category::gradients);
    const auto apart = slabs.memory->take(2 * kMiB);
    EXPECT_EQ(slabs.ledger.usage().gpu_reserved, 2 * kMiB);
  }
  EXPECT_EQ(slabs.released, 1);
  slabs.memory.reset();
  second.memory.reset();
  EXPECT_EQ(slabs.released, 2) << "a buffer outlives who made it";
}

TEST(SlabMemory, WithoutMemoryForASlabStaysAsItWas) {
  Slabs slabs(kMiB);
  const auto first = slabs.memory->take(kKiB);
  slabs.is_full = true;
  EXPECT_THROW(slabs.memory->take(2 * kMiB), std::bad_alloc);
  EXPECT_EQ(slabs.memory->take(kKiB).slab, 0);
  slabs.is_full = false;
  EXPECT_EQ(slabs.memory->take(2 * kMiB).slab, 1);
}

// A model's groups where the switch takes 512 MiB at a time: some slabs, not one for each.
TEST(SlabMemory, IsForetoldForWhatGpusRegister) {
  MemoryLedger ledger(Side::gpu);
  const MemoryScope scope(ledger, Category::parameters);
  SimulatedCommunicator communicator(0, 8, Readers::gpus, 512 * kMiB);
  std::vector<at::Tensor> buffers;
  for (int i = 0; i < 34; ++i) buffers.push_back(communicator.allocate(50 * kMiB));
  EXPECT_EQ(ledger.usage().total_now, 34 * 50 * kMiB);
  EXPECT_EQ(ledger.usage().gpu_reserved, 4 * 512 * kMiB);
  buffers.clear();
  EXPECT_EQ(ledger.usage().total_now, 0);
}

}  // namespace
}  // namespace zerorun
