// Wherever what a rank keeps sleeps, and whether moves overlap: the same bits as with everything on the device.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "comm/thread_communicator.h"
#include "core/threads.h"
#include "tests/zero/pairwise.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

using Device = SleepingPlace::Device;

enum Factor { kWhat, kDevice, kOverlap, kBuffers, kModel, kStage, kRanks, kMicroBatches, kRecompute, kDtype, kHost, kEarly, kFactors };
constexpr int kValues[kFactors] = {7, 2, 2, 2, 2, 4, 3, 2, 2, 2, 2, 2};
enum What { parameters, optimizer, both, half_of_the_optimizer, apart, activations, all };

bool parameters_sleep(const Choice& c) { return c[kWhat] == parameters || c[kWhat] == both || c[kWhat] == apart || c[kWhat] == all; }
bool activations_sleep(const Choice& c) { return c[kWhat] == activations || c[kWhat] == all; }
bool is_allowed(const Choice& c) { return (c[kStage] == 3 || !parameters_sleep(c)) && (c[kRecompute] != 0 || !activations_sleep(c)); }

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

// Not the folder of temporary files, which may be memory. Stripes and batches are so small that groups have several.
OffloadOptions offload_of(const Choice& c) {
  const SleepingPlace place{c[kDevice] ? Device::disk : Device::host, std::filesystem::current_path().string(), c[kOverlap] != 0};
  OffloadOptions offload;
  if (parameters_sleep(c)) offload.parameters = place;
  if (c[kWhat] != parameters && c[kWhat] != activations) offload.optimizer = place;
  if (activations_sleep(c)) offload.activations = place;
  if (c[kWhat] == apart) offload.optimizer.device = c[kDevice] ? Device::host : Device::disk;
  if (c[kWhat] == half_of_the_optimizer) offload.ratio = 0.5;
  offload.buffer_count = 2 + c[kBuffers];
  offload.verify_disk = c[kBuffers] != 0;
  offload.disk_stripe = 2048;
  offload.disk_batch_bytes = 100'000;
  return offload;
}

TrainingCase case_of(const Choice& c) {
  TrainingCase test;
  test.config.dropout = 0.1;
  if (c[kModel]) test.llama = tiny_llama(false);
  test.stage = c[kStage];
  test.ranks = c[kRanks] + 1;
  test.micro_batches = c[kMicroBatches] ? 3 : 1;
  test.global_batch_size = 36;
  test.seq_len = 11;
  test.recompute = c[kRecompute] != 0;
  if (c[kDtype]) test.precision = {at::kBFloat16, at::kFloat};
  test.on_one_host = c[kHost] != 0;
  if (c[kEarly]) test.max_norm = 0, test.check_finite = false;
  test.lr = 3e-4;
  test.gradients_from = test.steps - 1;
  return test;
}

std::string name_of(const ::testing::TestParamInfo<Choice>& info) {
  const auto& c = info.param;
  const auto one_of = [&](Factor factor, std::initializer_list<const char*> names) { return std::string(names.begin()[c[factor]]); };
  return one_of(kWhat, {"Parameters", "Optimizer", "Both", "HalfOfTheOptimizer", "Apart", "Activations", "All"}) + one_of(kDevice, {"Host", "Disk"}) +
         one_of(kOverlap, {"Blocked", "Overlapped"}) + one_of(kBuffers, {"TwoSlots", "ThreeSlots"}) + one_of(kModel, {"Gpt2", "Llama"}) +
         fmt::format("Stage{}Ranks{}", c[kStage], c[kRanks] + 1) + one_of(kMicroBatches, {"", "MicroBatches"}) + one_of(kRecompute, {"", "Recompute"}) +
         one_of(kDtype, {"Fp32", "Bf16"}) + one_of(kHost, {"", "OnOneHost"}) + one_of(kEarly, {"", "UpdatedEarly"});
}

class OffloadedTraining : public ::testing::TestWithParam<Choice> {};

TEST_P(OffloadedTraining, GivesTheBitsOfATrainingOnTheDevice) {
  auto test = case_of(GetParam());
  const auto resident = train(test);
  test.offload = offload_of(GetParam());
  EXPECT_EQ(first_difference(train(test), resident), "");
}

INSTANTIATE_TEST_SUITE_P(Cover, OffloadedTraining, ::testing::ValuesIn(choices()), name_of);

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
