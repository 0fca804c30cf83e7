// Wherever what a rank keeps sleeps, and whether moves overlap: the same bits as with everything on the device.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "comm/thread_communicator.h"
#include "core/threads.h"
#include "tests/zero/offload_cases.h"

namespace zerorun::testing {
namespace {

using namespace lattice;
using Device = SleepingPlace::Device;

// Of the whole lattice a quarter: whether ranks share memory and whether updates come early take turns, instead of standing beside everything else.
bool is_in_turn(const Choice& c) {
  const int turn = std::accumulate(c.begin(), c.begin() + kHost, 0);
  return c[kHost] == turn % 2 && c[kEarly] == turn / 2 % 2;
}

std::vector<Choice> choices() {
  auto all = all_choices({std::begin(kValues), std::end(kValues)}, is_allowed);
  if (!std::getenv("ZERORUN_FULL")) {
    auto cover = pairwise(all);
    cover.push_back({half_of_the_optimizer, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0});  // one rank, blocked: three values that met a fault once
    return cover;
  }
  std::erase_if(all, [](const Choice& c) { return !is_in_turn(c); });
  return all;
}

class OffloadedTraining : public ::testing::TestWithParam<Choice> {};

TEST_P(OffloadedTraining, GivesTheBitsOfATrainingOnTheDevice) {
  EXPECT_EQ(difference_when_asleep(case_of(GetParam()), GetParam()), "");
}

INSTANTIATE_TEST_SUITE_P(Cover, OffloadedTraining, ::testing::ValuesIn(choices()), [](const auto& info) { return name_of(info.param); });

// Micro-batches of other shapes than before: more room is taken where there is too little, and what was there is forgotten.
TEST(SleepingActivations, GiveTheSameBitsWhenBatchesGrowAndShrink) {
  const auto losses = [](const OffloadOptions& offload) {
    std::vector<double> losses;
    const Model model = make_gpt2(tiny_gpt2(true));
    run_ranks(1, [&](Communicator& communicator) {
      set_compute_threads(1);  // with more, LibTorch's products in fp32 need not repeat their bits
      MemoryLedger ledger;
      EngineOptions options{.sharding = Sharding::of_stage(3), .recompute = true, .offload = offload};
      const auto optimizer = make_adamw({});
      Engine engine(model, communicator, *optimizer, ledger, options);
      for (const int64_t seq_len : {5, 37, 11, 37}) {
        const Batch batch = CountedBatches(77, seq_len, 4).train(0, 0, 4);
        losses.push_back(engine.train_step({&batch, 1}, 1e-3).loss);
      }
    });
    return losses;
  };
  const auto resident = losses({});
  for (const auto device : {Device::host, Device::disk}) {
    OffloadOptions offload;
    offload.activations = {device, std::filesystem::current_path().string()};
    EXPECT_EQ(losses(offload), resident);
    offload.verify_disk = true;
    offload.optimizer = offload.activations;
    offload.disk_batch_bytes = 8192;
    offload.disk_stripe = 512;
    EXPECT_EQ(losses(offload), resident) << "beside a sleeping optimizer, in many batches";
  }
}

}  // namespace
}  // namespace zerorun::testing
