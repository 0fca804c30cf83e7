#include "comm/rank_sum.h"

#include "tests/gpu/reference.h"

namespace zerorun {
namespace {

using namespace device;

// `over`: the sum lies over that part, or apart from all.
template <typename Number>
void compare(const char* dtype, int ranks, int64_t count, int64_t gap, int64_t shift, int over) {
  const int64_t stride = count + gap;
  auto parts = random_values<Number>(ranks * stride, 1, 100);
  std::vector<const void*> pointers;
  for (int r = 0; r < ranks; ++r) pointers.push_back(parts.data() + r * stride);
  std::vector<Number> wanted(static_cast<size_t>(count));
  rank_sum(pointers, {wanted.data(), count, kType<Number>});
  const Buffer<Number> of(parts, shift), apart(count, shift);
  Number* sum = over < 0 ? apart.data() : of.data() + over * stride;
  rank_sum(of.data(), stride, ranks, {sum, count, kType<Number>}, GpuStream{});
  const auto name = std::string(dtype) + ", " + std::to_string(ranks) + " ranks, " + std::to_string(count) + " elements, gap " + std::to_string(gap);
  if (over < 0) return expect_same_bits(apart.values(), wanted, name);
  std::copy(wanted.begin(), wanted.end(), parts.begin() + over * stride);
  expect_same_bits(of.values(), parts, name);
}

TEST(GpuRankSum, GivesTheProcessorsBits) {
  const auto run = [](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int ranks : {1, 2, 3, 8, 17}) {
      for (const int64_t count : {1, 2, 8, 63, 64, 257, 5000}) {
        for (const int64_t gap : {0, 1, 64}) {
          for (const int64_t shift : {0, 1}) {
            for (const int over : {-1, 0, ranks - 1}) compare<Number>(dtype, ranks, count, gap, shift, over);
          }
        }
      }
    }
  };
  for_each_number(run);
  run(double{}, "fp64");
}

TEST(GpuRankSum, RoundsOnceAtTheEnd) {
  const Buffer<BFloat16> parts(std::vector<BFloat16>{256.0f, 1.0f, 1.0f}), sum(1);
  rank_sum(parts.data(), 1, 3, {sum.data(), 1, at::kBFloat16}, GpuStream{});
  EXPECT_EQ(static_cast<float>(sum.values()[0]), 258.0f);
}

}  // namespace
}  // namespace zerorun
