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
          }, backend.device, backend.is_strict};
}

namespace {

// Whose buffers the tests' memory is, where a backend has it so: each is one that the communicator allocated.
thread_local Communicator* allocating = nullptr;

const DeviceMemory* device() { return testing::TestWithParam<Backend>::GetParam().device.get(); }

template <typename T>
struct RankAllocator {
  using value_type = T;
  std::shared_ptr<std::map<void*, at::Tensor>> buffers = std::make_shared<std::map<void*, at::Tensor>>();

  T* allocate(size_t count) {
    const auto bytes = static_cast<int64_t>(count * sizeof(T));
    if (!allocating || device()) return static_cast<T*>(::operator new(count * sizeof(T)));
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
          }, backend.device, backend.is_strict};
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

Side side_of_spans() { return device() ? Side::gpu : Side::host; }

void write(const Bytes& from, Span to) {
  if (device()) return device()->upload(from.data(), to.data, to.bytes());
  std::memcpy(to.data, from.data(), static_cast<size_t>(to.bytes()));
}

void read(Span from, void* to) {
  if (device()) return device()->download(from.data, to, from.bytes());
  std::memcpy(to, from.data, static_cast<size_t>(from.bytes()));
}

// What collectives work on: bytes of the host, or those that hold them on the device.
class Memory {
 public:
  explicit Memory(Bytes content) : bytes_(std::move(content)) {
    if (!device()) return;
    const auto size = static_cast<int64_t>(bytes_.size());
    if (allocating) {
      buffer_ = allocating->allocate(size);
      data_ = buffer_.data_ptr();
    } else {
      held_ = device()->allocate(size);
      data_ = held_.get();
    }
    device()->upload(bytes_.data(), data_, size);
  }

  Span span(at::ScalarType dtype) {
    Span span = span_of(bytes_, dtype);
    if (device()) span = {data_, span.count, dtype, Side::gpu};
    return span;
  }
  // After the works of its collectives have been waited for.
  Bytes read() const {
    Bytes bytes = bytes_;
    if (device()) device()->download(data_, bytes.data(), static_cast<int64_t>(bytes.size()));
    return bytes;
  }

 private:
  Bytes bytes_;
  at::Tensor buffer_;
  std::shared_ptr<void> held_;
  void* data_ = nullptr;
};

Bytes slice_of(Bytes full, int rank, int ranks) {
  const Span slice = span_of(full, at::kByte).slice(rank, ranks);
  const char* data = static_cast<const char*>(slice.data);
  return Bytes(data, data + slice.bytes());
}

// Equal to the bit, where the backend has the one sum; otherwise within what another order and more roundings make of the largest values.
testing::AssertionResult is_sum(Bytes sum, Bytes expected, at::ScalarType dtype) {
  const Backend& backend = testing::TestWithParam<Backend>::GetParam();
  if (backend.is_strict && sum != expected) return testing::AssertionFailure() << "other bits";
  const float most = std::ldexp(static_cast<float>(backend.size) * 1024.0f, dtype == at::kFloat ? -21 : -7);
  for (int64_t i = 0; i < span_of(sum, dtype).count; ++i) {
    if (!(std::abs(load(sum, i, dtype) - load(expected, i, dtype)) <= most)) return testing::AssertionFailure() << "element " << i;
  }
  return testing::AssertionSuccess();
}

// Scratch of exactly the promised size with a guard behind it.
class Scratch {
 public:
  Scratch(const Communicator& communicator, int64_t slice_count, at::ScalarType dtype)
      : size_(communicator.reduce_scratch_bytes(slice_count, dtype)), memory_(Bytes(static_cast<size_t>(size_) + 64, 'g')) {}
  Span span() { return memory_.span(at::kByte).part(0, size_); }
  bool guard_is_intact() const {
    const Bytes bytes = memory_.read();
    return Bytes(bytes.begin() + size_, bytes.end()) == Bytes(64, 'g');
  }

 private:
  int64_t size_;
  Memory memory_;
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
      const Bytes own = values(communicator.rank(), count, dtype);
      Memory slice(own), apart(zeros(count * communicator.size(), dtype));
      communicator.all_gather(slice.span(dtype), apart.span(dtype)).wait();
      EXPECT_TRUE(apart.read() == expected) << "out of place";

      Bytes with_own = zeros(count * communicator.size(), dtype);
      std::memcpy(span_of(with_own, dtype).slice(communicator.rank(), communicator.size()).data, own.data(), own.size());
      Memory full(with_own);
      communicator.all_gather(full.span(dtype).slice(communicator.rank(), communicator.size()), full.span(dtype)).wait();
      EXPECT_TRUE(full.read() == expected) << "in place";
    });
  });
}

TEST_P(CollectivesContract, ReduceScatterIsTheSumInRankOrderToTheBit) {
  GetParam().run([](Communicator& communicator) {
    for_each_case([&](int64_t count, at::ScalarType dtype) {
      const int64_t full_count = count * communicator.size();
      const Bytes expected = slice_of(sum_of_ranks(communicator.size(), full_count, dtype), communicator.rank(), communicator.size());
      Scratch scratch(communicator, count, dtype);

      Memory apart(values(communicator.rank(), full_count, dtype)), slice(zeros(count, dtype));
      communicator.reduce_scatter(apart.span(dtype), slice.span(dtype), scratch.span()).wait();
      EXPECT_TRUE(is_sum(slice.read(), expected, dtype)) << "out of place";

      Memory full(values(communicator.rank(), full_count, dtype));
      Bytes in_blocks = zeros(count, dtype);
      OnBlock on_block = [&](int64_t begin, Span block) {
        EXPECT_TRUE(begin % kSumBlock == 0 && block.count == std::min(kSumBlock, count - begin) && block.dtype == dtype);
        std::memcpy(span_of(in_blocks, dtype).part(begin, block.count).data, block.data, static_cast<size_t>(block.bytes()));
      };
      if (device()) on_block = nullptr;
      communicator.reduce_scatter(full.span(dtype), full.span(dtype).slice(communicator.rank(), communicator.size()), scratch.span(), on_block).wait();
      EXPECT_TRUE(is_sum(slice_of(full.read(), communicator.rank(), communicator.size()), expected, dtype)) << "in place";
      EXPECT_TRUE(device() || in_blocks == expected) << "in blocks";
      EXPECT_TRUE(scratch.guard_is_intact());
    });
  });
}

TEST_P(CollectivesContract, AllReduceIsTheSumInRankOrderToTheBit) {
  GetParam().run([](Communicator& communicator) {
    for_each_case([&](int64_t count, at::ScalarType dtype) {
      Memory full(values(communicator.rank(), count * communicator.size(), dtype));
      Scratch scratch(communicator, count, dtype);
      communicator.all_reduce(full.span(dtype), scratch.span()).wait();
      EXPECT_TRUE(is_sum(full.read(), sum_of_ranks(communicator.size(), count * communicator.size(), dtype), dtype));
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
    Bytes expected(static_cast<size_t>(count * n) * 4), with_own(expected.size());
    auto* const numbers = reinterpret_cast<int32_t*>(expected.data());
    std::iota(numbers, numbers + count * n, 1);
    std::memcpy(span_of(with_own, at::kInt).slice(communicator.rank(), n).data, numbers + communicator.rank() * count, static_cast<size_t>(count) * 4);
    Memory full(std::move(with_own));
    const Span whole = full.span(at::kInt);
    communicator.all_gather(whole.slice(communicator.rank(), n), whole).wait();
    EXPECT_TRUE(full.read() == expected);
  });
}

TEST_P(CollectivesContract, WorksInFlightMayBeWaitedInAnyOrderOrDropped) {
  GetParam().run([](Communicator& communicator) {
    constexpr int64_t kCount = 192;
    const int size = communicator.size();
    Memory slice(values(communicator.rank(), kCount, at::kFloat)), gathered(zeros(kCount * size, at::kFloat)), dropped(zeros(kCount * size, at::kFloat));
    Memory reduced(zeros(kCount, at::kFloat)), full(values(communicator.rank(), kCount * size, at::kFloat)), all(values(communicator.rank(), kCount * size, at::kFloat));
    Scratch scratch(communicator, kCount, at::kFloat);

    Work gather = communicator.all_gather(slice.span(at::kFloat), gathered.span(at::kFloat));
    communicator.all_gather(slice.span(at::kFloat), dropped.span(at::kFloat));
    // Both use the scratch: the first is done with it before the second begins.
    Work scatter = communicator.reduce_scatter(full.span(at::kFloat), reduced.span(at::kFloat), scratch.span());
    Work reduce = communicator.all_reduce(all.span(at::kFloat), scratch.span());
    reduce.wait();
    gather.wait();
    scatter.wait();
    scatter.wait();

    const Bytes expected = sum_of_ranks(size, kCount * size, at::kFloat);
    EXPECT_TRUE(is_sum(all.read(), expected, at::kFloat));
    EXPECT_TRUE(is_sum(reduced.read(), slice_of(expected, communicator.rank(), size), at::kFloat));
    EXPECT_TRUE(dropped.read() == gathered.read());
    EXPECT_TRUE(slice_of(gathered.read(), size - 1, size) == values(size - 1, kCount, at::kFloat));
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
    const Span full{buffer.data_ptr(), 64 * communicator.size(), at::kByte, side_of_spans()};
    const Span own = full.slice(communicator.rank(), communicator.size());
    write(Bytes(64, static_cast<char>(communicator.rank())), own);
    communicator.all_gather(own, full).wait();
    char last = -1;
    read(full.part(full.count - 1, 1), &last);
    EXPECT_EQ(last, communicator.size() - 1);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(full.data) % 64, 0u);
  });
}

TEST_P(CollectivesContract, AbandonWithNothingUnderWayChangesNothing) {
  GetParam().run([](Communicator& communicator) {
    const int64_t n = communicator.size();
    Memory mine(values(communicator.rank(), 64, at::kFloat)), all(zeros(64 * n, at::kFloat));
    for (int i = 0; i < 3; ++i) {
      communicator.all_gather(mine.span(at::kFloat), all.span(at::kFloat)).wait();
      communicator.abandon();
    }
    EXPECT_TRUE(slice_of(all.read(), static_cast<int>(n) - 1, static_cast<int>(n)) == values(static_cast<int>(n) - 1, 64, at::kFloat));
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

TEST_P(CommunicatorContract, SpansOfTheOtherSideAreTheCallersBug) {
  if (!device()) return;
  GetParam().run([](Communicator& communicator) {
    const int n = communicator.size();
    std::vector<float> memory(static_cast<size_t>(8 * n));
    const auto span = [&](Side side) { return Span{memory.data(), 8 * n, at::kFloat, side}; };
    std::vector<char> room(static_cast<size_t>(communicator.reduce_scratch_bytes(8, at::kFloat)));
    const Span scratch{room.data(), static_cast<int64_t>(room.size()), at::kByte, Side::gpu};
    EXPECT_EQ(kind_thrown_by([&] { communicator.all_gather(span(Side::host).slice(communicator.rank(), n), span(Side::host)); }), ErrorKind::bug);
    EXPECT_EQ(kind_thrown_by([&] { communicator.all_reduce(span(Side::host), scratch); }), ErrorKind::bug);
    const auto see = [](int64_t, Span) {};
    EXPECT_EQ(kind_thrown_by([&] { communicator.reduce_scatter(span(Side::gpu), span(Side::gpu).slice(communicator.rank(), n), scratch, see); }), ErrorKind::bug);
  });
}

TEST_P(CommunicatorContract, AllocateChargesExactlyItsBytesToTheCallersScope) {
  GetParam().run([](Communicator& communicator) {
    MemoryLedger ledger(device() ? device()->ledger : Side::host);
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
    const Span full{data_of(memory), count * n, at::kBFloat16, side_of_spans()}, own = full.slice(communicator.rank(), n);
    const Span scratch{data_of(rest), rest.numel(), at::kByte, side_of_spans()};
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
