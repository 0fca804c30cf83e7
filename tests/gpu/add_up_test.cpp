#include "core/ops/kernels/add_up.h"

#include "tests/gpu/reference.h"

namespace zerorun::ops {
namespace {

using namespace device;

TEST(GpuAddUp, GivesTheProcessorsBitsWhateverRunsFirst) {
  for (const int64_t count : {0, 1, 31, 32, 33, 1023, 1024, 1025, 5001, 100'000}) {
    const auto values = random_values<double>(count, 1);
    const double wanted = add_up(values.data(), count);
    double in_order = 0;
    for (const double value : values) in_order += value;
    EXPECT_NEAR(wanted, in_order, 1e-9 * static_cast<double>(count));
    for (const unsigned int seed : {0u, 1u, 2u}) {
      set_order(seed);
      const Buffer<double> of(values), sum(std::vector<double>{3});
      add_up(of.data(), count, sum.data(), GpuStream{});
      EXPECT_EQ(sum.values()[0], 3 + wanted) << count;
    }
  }
  set_order(0);
}

}  // namespace
}  // namespace zerorun::ops
