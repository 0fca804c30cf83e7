#include "core/ops/kernels/dropout_rows.h"

#include <algorithm>

#include "tests/gpu/reference.h"

namespace zerorun::ops {
namespace {

using namespace device;

TEST(GpuDropoutRows, DropsWhatTheProcessorDrops) {
  const DropoutMask mask{{0x12345678u, 0x9abcdef0u}, 20000, 1.5f};
  for_each_number([&](auto zero, const char* dtype) {
    using Number = decltype(zero);
    for (const int64_t size : {1, 7, 8, 9, 16, 64, 127, 1000, 4097}) {
      for (const int64_t samples : {1, 3}) {
        for (const int64_t shift : {0, 1}) {
          constexpr int64_t kFirst = (int64_t{1} << 32) - 1;  // a sample's number has two words
          const auto from = random_values<Number>(samples * size, 1);
          std::vector<Number> to(from.size());
          for (int64_t s = 0; s < samples; ++s) drop_elements(mask, kType<Number>, kFirst + s, 0, size, from.data() + s * size, to.data() + s * size);
          const Buffer<Number> in(from, shift), out(samples * size, shift);
          drop_elements(mask, kType<Number>, kFirst, samples, size, in.data(), out.data(), GpuStream{});
          expect_same_bits(out.values(), to, std::string(dtype) + ", " + std::to_string(samples) + " x " + std::to_string(size) + ", shift " + std::to_string(shift));
        }
      }
    }
  });
}

TEST(GpuDropoutRows, DropsItsShare) {
  constexpr int64_t kCount = 100'000;
  const Buffer<float> in(std::vector<float>(kCount, 1.0f)), out(kCount);
  drop_elements({{1, 2}, 65536 / 4, 4.0f / 3}, at::kFloat, 0, 1, kCount, in.data(), out.data(), GpuStream{});
  const auto values = out.values();
  EXPECT_NEAR(static_cast<double>(std::count(values.begin(), values.end(), 0.0f)), kCount / 4.0, 600);
}

}  // namespace
}  // namespace zerorun::ops
