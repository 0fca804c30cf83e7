// On a GPU too: wherever what a rank keeps sleeps, and whether moves overlap, the same bits as with everything on the device. It needs a GPU.
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "comm/nccl_communicator.h"
#include "core/memory.h"
#include "offload/host_store.h"
#include "tests/zero/offload_cases.h"
#include "zero/flat_span.h"

namespace zerorun::testing {
namespace {

using namespace lattice;

// One rank; ranks that share memory there are none of.
std::vector<Choice> choices_of_one_rank() {
  return pairwise(all_choices({std::begin(kValues), std::end(kValues)}, [](const Choice& c) { return is_allowed(c) && c[kRanks] == 0 && c[kHost] == 0; }));
}

TrainingCase case_on_gpu(const Choice& c) {
  auto test = case_of(c);
  test.device = {at::kCUDA, 0};
  test.steps = 3;
  test.gradients_from = test.steps - 1;
  test.global_batch_size = 12;
  test.wrap_communicator = [](Communicator& control) { return std::make_unique<NcclCommunicator>(control); };
  return test;
}

class OffloadedTrainingOnGpu : public ::testing::TestWithParam<Choice> {};

TEST_P(OffloadedTrainingOnGpu, GivesTheBitsOfATrainingOnTheDevice) {
  EXPECT_EQ(difference_when_asleep(case_on_gpu(GetParam()), GetParam()), "");
}

INSTANTIATE_TEST_SUITE_P(Cover, OffloadedTrainingOnGpu, ::testing::ValuesIn(choices_of_one_rank()), [](const auto& info) { return name_of(info.param); });

// Half of the memory is written again while what it had before may not have been added yet: many stretches, and a last one that is short.
TEST(AddByWayOf, SumsWhatComesInManyStretches) {
  constexpr int64_t kCount = 9 * 512 + 37;
  MemoryLedger ledger(Side::gpu);
  const auto staging = take_host_memory(4096, ledger, /*counts_only=*/false);
  std::vector<float> part(kCount), sum(kCount), expected(kCount);
  for (size_t i = 0; i < part.size(); ++i) {
    part[i] = 0.1f * static_cast<float>(i);
    sum[i] = 7.0f - static_cast<float>(i % 100);
    expected[i] = sum[i] + part[i];
  }
  const MemoryScope scope(ledger, Category::communication);
  const auto on_gpu = at::empty({kCount}, at::TensorOptions().dtype(at::kFloat).device(at::kCUDA, 0));
  copy({part.data(), kCount, at::kFloat}, span_of(on_gpu));
  add_by_way_of({staging->data(), static_cast<size_t>(staging->bytes())}, span_of(on_gpu), {sum.data(), kCount, at::kFloat});
  EXPECT_EQ(sum, expected);
}

}  // namespace
}  // namespace zerorun::testing
