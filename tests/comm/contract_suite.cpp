#include "tests/comm/contract_suite.h"

#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>

#include "comm/counting_communicator.h"
#include "core/error.h"
#include "core/memory.h"

namespace zerorun::test {

std::string name_of_instance(const testing::TestParamInfo<Backend>& info) {
  return info.param.name + "_" + std::to_string(info.param.size);
}

Backend counted(const Backend& backend) {
  return {"counted_" + backend.name, backend.size, [backend](const std::function<void(Communicator&)>& body) {
            backend.run([&](Communicator& inner) {
              CountingCommunicator communicator(inner);
              body(communicator);
            });
          }};
}

namespace {

// Whose buffers the tests' memory is, where a backend has it so: each is one that the communicator allocated.
thread_local Communicator* allocating = nullptr;

template <typename T>
struct RankAllocator {
  using value_type = T;
  std::shared_ptr<std::map<void*, at::Tensor>> buffers = std::make_shared<std::map<void*, at::Tensor>>();

  T* allocate(size_t count) {
    const auto bytes = static_cast<int64_t>(count * sizeof(T));
    if (!allocating) return static_cast<T*>(::operator new(count * sizeof(T)));
    const at::Tensor buffer = allocating->allocate(bytes);
    (*buffers)[buffer.data_ptr()] = buffer;
    return static_cast<T*>(buffer.data_ptr());
  }
  void deallocate(T* data, size_t) {
    if (buffers->erase(data) == 0) ::operator delete(data);
  }
  bool operator==(const RankAllocator& other) const { return buffers == other.buffers; }
};

using Bytes = std::vector<char, RankAllocator<char>>;

}  // namespace

Backend registered(const Backend& backend) {
  return {"registered_" + backend.name, backend.size, [backend](const std::function<void(Communicator&)>& body) {
            backend.run([&](Communicator& communicator) {
              allocating = &communicator;
              body(communicator);
              allocating = nullptr;
            });
          }};
}

namespace {

constexpr at::ScalarType kDtypes[] = {at::kFloat, at::kBFloat16};
// Odd multiples of the layout's 64, less than that, and several rounds of pieces.
constexpr int64_t kSliceCounts[] = {1, 5, 64, 3 * 64, 37 * 64, 131072 + 64};

// Magnitudes differ, so that another order of the sum, or another rounding, gives other bits.
float value_of(int rank, int64_t element) {
  uint32_t x = static_cast<uint32_t>(element) * 2654435761u + static_cast<uint32_t>(rank + 1) * 40503u * 65537u;
  x = (x ^ (x >> 15)) * 2246822519u;
  x ^= x >> 13;
  return std::ldexp(static_cast<float>(x % 20011) / 20011.0f - 0.5f, static_cast<int>(x >> 20) % 12);
}

void store(Bytes& bytes, int64_t index, at::ScalarType dtype, float value) {
  if (dtype == at::kFloat) reinterpret_cast<float*>(bytes.data())[index] = value;
  if (dtype == at::kBFloat16) reinterpret_cast<c10::BFloat16*>(bytes.data())[index] = value;
}

float load(const Bytes& bytes, int64_t index, at::ScalarType dtype) {
  if (dtype == at::kFloat) return reinterpret_cast<const float*>(bytes.data())[index];
  return reinterpret_cast<const c10::BFloat16*>(bytes.data())[index];
}

Bytes zeros(int64_t count, at::ScalarType dtype) { return Bytes(static_cast<size_t>(Span{nullptr, count, dtype}.bytes())); }

Bytes values(int rank, int64_t count, at::ScalarType dtype, int64_t first = 0) {
  Bytes bytes = zeros(count, dtype);
  for (int64_t i = 0; i < count; ++i) store(bytes, i, dtype, value_of(rank, first + i));
  return bytes;
}

// The naive oracle: element by element, rank 0 first.
Bytes sum_of_ranks(int ranks, int64_t count, at::ScalarType dtype) {
  std::vector<Bytes> parts;
  for (int r = 0; r < ranks; ++r) parts.push_back(values(r, count, dtype));
  Bytes sum = zeros(count, dtype);
  for (int64_t i = 0; i < count; ++i) {
    float total = load(parts[0], i, dtype);
    for (int r = 1; r < ranks; ++r) total = total + load(parts[static_cast<size_t>(r)], i, dtype);
    store(sum, i, dtype, total);
  }
  return sum;
}

Span span_of(Bytes& bytes, at::ScalarType dtype) {
  return {bytes.data(), static_cast<int64_t>(bytes.size() / c10::elementSize(dtype)), dtype};
}

Bytes content(Span span) {
  const char* data = static_cast<const char*>(span.data);
  return Bytes(data, data + span.bytes());
}

// Scratch of exactly the promised size with a guard behind it.
class Scratch {
 public:
  Scratch(const Communicator& communicator, int64_t slice_count, at::ScalarType dtype)
      : size_(communicator.reduce_scratch_bytes(slice_count, dtype)), bytes_(static_cast<size_t>(size_) + 64, 'g') {}
  Span span() { return {bytes_.data(), size_, at::kByte}; }
  bool guard_is_intact() const { return Bytes(bytes_.begin() + size_, bytes_.end()) == Bytes(64, 'g'); }

 private:
  int64_t size_;
  Bytes bytes_;
};

void for_each_case(const std::function<void(int64_t slice_count, at::ScalarType dtype)>& test) {
  for (at::ScalarType dtype : kDtypes) {
    for (int64_t slice_count : kSliceCounts) {
      SCOPED_TRACE(testing::Message() << slice_count << " x " << c10::toString(dtype));
      test(slice_count, dtype);
    }
  }
}

ErrorKind kind_thrown_by(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind{};
}

TEST_P(CollectivesContract, AllGatherGivesEveryRanksSliceInRankOrder) {
  GetParam().run([](Communicator& communicator) {
    for_each_case([&](int64_t count, at::ScalarType dtype) {
      Bytes expected;
      for (int r = 0; r < communicator.size(); ++r) {
        const Bytes slice = values(r, count, dtype);
        expected.insert(expected.end(), slice.begin(), slice.end());
      }
      Bytes slice = values(communicator.rank(), count, dtype);
      Bytes apart = zeros(count * communicator.size(), dtype);
      communicator.all_gather(span_of(slice, dtype), span_of(apart, dtype)).wait();
      EXPECT_TRUE(apart == expected) << "out of place";

      Bytes full = zeros(count * communicator.size(), dtype);
      const Span own = span_of(full, dtype).slice(communicator.rank(), communicator.size());
      std::memcpy(own.data, slice.data(), slice.size());
      communicator.all_gather(own, span_of(full, dtype)).wait();
      EXPECT_TRUE(full == expected) << "in place";
    });
  });
}

TEST_P(CollectivesContract, ReduceScatterIsTheSumInRankOrderToTheBit) {
  GetParam().run([](Communicator& communicator) {
    for_each_case([&](int64_t count, at::ScalarType dtype) {
      const int64_t full_count = count * communicator.size();
      Bytes expected_full = sum_of_ranks(communicator.size(), full_count, dtype);
      const Bytes expected = content(span_of(expected_full, dtype).slice(communicator.rank(), communicator.size()));
      Scratch scratch(communicator, count, dtype);

      Bytes full = values(communicator.rank(), full_count, dtype);
      Bytes slice = zeros(count, dtype);
      communicator.reduce_scatter(span_of(full, dtype), span_of(slice, dtype), scratch.span()).wait();
      EXPECT_TRUE(slice == expected) << "out of place";

      full = values(communicator.rank(), full_count, dtype);
      const Span own = span_of(full, dtype).slice(communicator.rank(), communicator.size());
      Bytes in_blocks = zeros(count, dtype);
      communicator.reduce_scatter(span_of(full, dtype), own, scratch.span(), [&](int64_t begin, Span block) {
        EXPECT_TRUE(begin % kSumBlock == 0 && block.count == std::min(kSumBlock, count - begin) && block.dtype == dtype);
        std::memcpy(span_of(in_blocks, dtype).part(begin, block.count).data, block.data, static_cast<size_t>(block.bytes()));
      }).wait();
      EXPECT_TRUE(content(own) == expected) << "in place";
      EXPECT_TRUE(in_blocks == expected) << "in blocks";
      EXPECT_TRUE(scratch.guard_is_intact());
    });
  });
}

TEST_P(CollectivesContract, AllReduceIsTheSumInRankOrderToTheBit) {
  GetParam().run([](Communicator& communicator) {
    for_each_case([&](int64_t count, at::ScalarType dtype) {
      Bytes full = values(communicator.rank(), count * communicator.size(), dtype);
      Scratch scratch(communicator, count, dtype);
      communicator.all_reduce(span_of(full, dtype), scratch.span()).wait();
      EXPECT_TRUE(full == sum_of_ranks(communicator.size(), count * communicator.size(), dtype));
      EXPECT_TRUE(scratch.guard_is_intact());
    });
  });
}

TEST_P(CollectivesContract, TheOracleNoticesAnotherOrder) {
  const int ranks = GetParam().size;
  int differences = 0;
  for (int64_t i = 0; i < 64; ++i) {
    float forwards = value_of(0, i), backwards = value_of(ranks - 1, i);
    for (int r = 1; r < ranks; ++r) {
      forwards += value_of(r, i);
      backwards += value_of(ranks - 1 - r, i);
    }
    differences += forwards != backwards;
  }
  EXPECT_EQ(differences > 0, ranks > 2);
}

TEST_P(CollectivesContract, SpansLongerThanAMessageArriveWhole) {
  GetParam().run([](Communicator& communicator) {
    const int64_t count = (17 << 20) / 4 + 64;
    const int n = communicator.size();
    std::vector<int32_t> full(static_cast<size_t>(count * n)), expected(full.size());
    std::iota(expected.begin(), expected.end(), 1);
    const Span whole{full.data(), count * n, at::kInt};
    std::copy_n(expected.begin() + communicator.rank() * count, count, full.begin() + communicator.rank() * count);
    communicator.all_gather(whole.slice(communicator.rank(), n), whole).wait();
    EXPECT_TRUE(full == expected);
  });
}

TEST_P(CollectivesContract, WorksInFlightMayBeWaitedInAnyOrderOrDropped) {
  GetParam().run([](Communicator& communicator) {
    constexpr int64_t kCount = 192;
    const int size = communicator.size();
    Bytes slice = values(communicator.rank(), kCount, at::kFloat);
    Bytes gathered = zeros(kCount * size, at::kFloat), dropped = gathered, reduced = zeros(kCount, at::kFloat);
    Bytes full = values(communicator.rank(), kCount * size, at::kFloat), all = full;
    Scratch scratch(communicator, kCount, at::kFloat);

    Work gather = communicator.all_gather(span_of(slice, at::kFloat), span_of(gathered, at::kFloat));
    communicator.all_gather(span_of(slice, at::kFloat), span_of(dropped, at::kFloat));
    // Both use the scratch: the first is done with it before the second begins.
    Work scatter = communicator.reduce_scatter(span_of(full, at::kFloat), span_of(reduced, at::kFloat), scratch.span());
    Work reduce = communicator.all_reduce(span_of(all, at::kFloat), scratch.span());
    reduce.wait();
    gather.wait();
    scatter.wait();
    scatter.wait();

    Bytes expected = sum_of_ranks(size, kCount * size, at::kFloat);
    EXPECT_TRUE(all == expected);
    EXPECT_TRUE(reduced == content(span_of(expected, at::kFloat).slice(communicator.rank(), size)));
    EXPECT_TRUE(dropped == gathered);
    EXPECT_TRUE(content(span_of(gathered, at::kFloat).slice(size - 1, size)) == values(size - 1, kCount, at::kFloat));
  });
}

TEST_P(CollectivesContract, ExchangeGivesEveryRanksBytesInRankOrder) {
  GetParam().run([](Communicator& communicator) {
    for (int64_t bytes : {0, 1, 3, 1000}) {
      const Bytes mine(static_cast<size_t>(bytes), static_cast<char>('a' + communicator.rank()));
      Bytes all(static_cast<size_t>(bytes * communicator.size()));
      communicator.exchange(mine.data(), all.data(), bytes);
      Bytes expected;
      for (int r = 0; r < communicator.size(); ++r)
        expected.insert(expected.end(), static_cast<size_t>(bytes), static_cast<char>('a' + r));
      EXPECT_TRUE(all == expected) << bytes;
    }
  });
}

TEST_P(CollectivesContract, SpansOfNothingAreOrdinary) {
  GetParam().run([](Communicator& communicator) {
    communicator.all_gather({}, {}).wait();
    communicator.reduce_scatter({}, {}, {}).wait();
    communicator.all_reduce({}, {}).wait();
  });
}

TEST_P(CollectivesContract, BuffersFromAllocateServeCollectives) {
  GetParam().run([](Communicator& communicator) {
    const at::Tensor buffer = communicator.allocate(64 * communicator.size());
    const Span full{buffer.data_ptr(), 64 * communicator.size(), at::kByte};
    const Span own = full.slice(communicator.rank(), communicator.size());
    std::memset(own.data, communicator.rank(), 64);
    communicator.all_gather(own, full).wait();
    EXPECT_EQ(static_cast<char*>(full.data)[full.count - 1], communicator.size() - 1);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(full.data) % 64, 0u);
  });
}

TEST_P(CollectivesContract, AbandonWithNothingUnderWayChangesNothing) {
  GetParam().run([](Communicator& communicator) {
    const int64_t n = communicator.size();
    Bytes mine = values(communicator.rank(), 64, at::kFloat), all = zeros(64 * n, at::kFloat);
    for (int i = 0; i < 3; ++i) {
      communicator.all_gather(span_of(mine, at::kFloat), span_of(all, at::kFloat)).wait();
      communicator.abandon();
    }
    EXPECT_EQ(content(span_of(all, at::kFloat).slice(n - 1, n)), values(static_cast<int>(n) - 1, 64, at::kFloat));
  });
}

TEST_P(CommunicatorContract, RankAndSizeAreThoseOfTheGroup) {
  GetParam().run([](Communicator& communicator) {
    EXPECT_EQ(communicator.size(), GetParam().size);
    EXPECT_GE(communicator.rank(), 0);
    EXPECT_LT(communicator.rank(), communicator.size());
  });
}

TEST_P(CommunicatorContract, SpansThatDoNotFitAreTheCallersBug) {
  GetParam().run([](Communicator& communicator) {
    const int n = communicator.size();
    std::vector<float> memory(static_cast<size_t>(8 * n + 8));
    const Span full{memory.data(), 8 * n, at::kFloat}, own = full.slice(communicator.rank(), n);
    const Span short_scratch{memory.data(), communicator.reduce_scratch_bytes(8, at::kFloat) - 1, at::kByte};
    const Span shifted{static_cast<float*>(own.data) + 1, 8, at::kFloat};
    const Span scratch{memory.data(), communicator.reduce_scratch_bytes(8, at::kFloat), at::kByte};
    const auto expect_bug = [](const char* what, const std::function<void()>& call) {
      EXPECT_EQ(kind_thrown_by(call), ErrorKind::bug) << what;
    };
    expect_bug("a size", [&] { communicator.all_gather({memory.data(), 7, at::kFloat}, full); });
    expect_bug("a dtype", [&] { communicator.all_gather({own.data, 8, at::kInt}, full); });
    expect_bug("an overlap", [&] { communicator.all_gather(shifted, full); });
    expect_bug("an overlap", [&] { communicator.reduce_scatter(full, shifted, scratch); });
    expect_bug("the scratch", [&] { communicator.reduce_scatter(full, own, short_scratch); });
    expect_bug("the scratch", [&] { communicator.all_reduce(full, short_scratch); });
    expect_bug("no sum of integers", [&] { communicator.all_reduce({memory.data(), 8 * n, at::kInt}, scratch); });
    expect_bug("no memory", [&] { communicator.exchange(nullptr, nullptr, 8); });
    if (n > 1) expect_bug("a remainder", [&] { communicator.all_reduce({memory.data(), 8 * n - 1, at::kFloat}, scratch); });
  });
}

TEST_P(CommunicatorContract, AllocateChargesExactlyItsBytesToTheCallersScope) {
  GetParam().run([](Communicator& communicator) {
    MemoryLedger ledger;
    const MemoryScope scope(ledger, Category::communication);
    const at::Tensor buffer = communicator.allocate(1000);
    EXPECT_EQ(buffer.numel(), 1000);
    EXPECT_EQ(buffer.scalar_type(), at::kByte);
    EXPECT_EQ(ledger.usage().now_of(Category::communication), 1000);
  });
}

TEST_P(CommunicatorContract, ScratchDoesNotGrowWithTheModel) {
  GetParam().run([](Communicator& communicator) {
    const int64_t n = communicator.size();
    EXPECT_EQ(communicator.reduce_scratch_bytes(64, at::kFloat), 2 * n * 64 * 4);
    EXPECT_EQ(communicator.reduce_scratch_bytes(64, at::kBFloat16), 2 * n * 64 * 2);
    const int64_t large = communicator.reduce_scratch_bytes(int64_t{1} << 40, at::kFloat);
    EXPECT_LE(large, 2 << 20);
    EXPECT_GT(large, (2 << 20) - 2 * n * 64);
      EXPECT_LE(2 * n * communicator.reduce_piece_bytes(int64_t{1} << 40, at::kFloat), large);
  });
}

TEST_P(CommunicatorContract, TrafficIsTheContractsArithmetic) {
  GetParam().run([](Communicator& inner) {
    CountingCommunicator communicator(inner);
    const int64_t n = communicator.size(), count = 3 * 64;
    const at::Tensor memory = communicator.allocate(count * n * 2);
    const at::Tensor rest = communicator.allocate(communicator.reduce_scratch_bytes(count, at::kBFloat16));
    const auto data_of = [](const at::Tensor& tensor) { return tensor.is_meta() ? nullptr : tensor.data_ptr(); };
    const Span full{data_of(memory), count * n, at::kBFloat16}, own = full.slice(communicator.rank(), n);
    const Span scratch{data_of(rest), rest.numel(), at::kByte};
    communicator.all_gather(own, full).wait();
    communicator.all_gather(own, full);
    communicator.reduce_scatter(full, own, scratch, {}).wait();
    communicator.all_reduce(full, scratch).wait();
    const Bytes mine(24);
    Bytes all(static_cast<size_t>(24 * n));
    communicator.exchange(mine.data(), all.data(), 24);
    inner.exchange(mine.data(), all.data(), 24);  // the dropped gather is done before `memory` goes

    const Traffic traffic = communicator.traffic();
    EXPECT_EQ(traffic.all_gather.calls, 2);
    EXPECT_EQ(traffic.all_gather.bytes_sent, 2 * (n - 1) * count * 2);
    EXPECT_EQ(traffic.reduce_scatter.calls, 1);
    EXPECT_EQ(traffic.reduce_scatter.bytes_sent, (n - 1) * count * 2);
    EXPECT_EQ(traffic.all_reduce.calls, 1);
    EXPECT_EQ(traffic.all_reduce.bytes_sent, 2 * (n - 1) * count * 2);
    EXPECT_EQ(traffic.control.calls, 1);
    EXPECT_EQ(traffic.control.bytes_sent, (n - 1) * 24);
    traffic.for_each([](const char* name, const Traffic::Line& line) { EXPECT_GT(line.seconds, 0) << name; });
  });
}

}  // namespace
}  // namespace zerorun::test
