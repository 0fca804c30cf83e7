// What may sleep in a training, where and how, beside what it may be of: the lattice that "the same bits" is held on.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "tests/zero/pairwise.h"
#include "tests/zero/world.h"

namespace zerorun::testing::lattice {

enum OffloadFactor { kWhat, kDevice, kOverlap, kBuffers, kModel, kStage, kRanks, kMicroBatches, kRecompute, kDtype, kHost, kEarly, kFactors };
inline constexpr int kValues[kFactors] = {7, 2, 2, 2, 2, 4, 3, 2, 2, 2, 2, 2};
enum WhatSleeps { parameters, optimizer, both, half_of_the_optimizer, apart, activations, all };

inline bool parameters_sleep(const Choice& c) { return c[kWhat] == parameters || c[kWhat] == both || c[kWhat] == apart || c[kWhat] == all; }
inline bool activations_sleep(const Choice& c) { return c[kWhat] == activations || c[kWhat] == all; }
inline bool is_allowed(const Choice& c) { return (c[kStage] == 3 || !parameters_sleep(c)) && (c[kRecompute] != 0 || !activations_sleep(c)); }

// Not the folder of temporary files, which may be memory. Stripes and batches are so small that groups have several.
inline OffloadOptions offload_of(const Choice& c) {
  const SleepingPlace place{c[kDevice] ? SleepingPlace::Device::disk : SleepingPlace::Device::host, std::filesystem::current_path().string(), c[kOverlap] != 0};
  OffloadOptions offload;
  if (parameters_sleep(c)) offload.parameters = place;
  if (c[kWhat] != parameters && c[kWhat] != activations) offload.optimizer = place;
  if (activations_sleep(c)) offload.activations = place;
  if (c[kWhat] == apart) offload.optimizer.device = c[kDevice] ? SleepingPlace::Device::host : SleepingPlace::Device::disk;
  if (c[kWhat] == half_of_the_optimizer) offload.ratio = 0.5;
  offload.buffer_count = 2 + c[kBuffers];
  offload.verify_disk = c[kBuffers] != 0;
  offload.disk_stripe = 2048;
  offload.disk_batch_bytes = 100'000;
  return offload;
}

inline TrainingCase case_of(const Choice& c) {
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

inline std::string name_of(const Choice& c) {
  const auto one_of = [&](OffloadFactor factor, std::initializer_list<const char*> names) { return std::string(names.begin()[c[factor]]); };
  return one_of(kWhat, {"Parameters", "Optimizer", "Both", "HalfOfTheOptimizer", "Apart", "Activations", "All"}) + one_of(kDevice, {"Host", "Disk"}) +
         one_of(kOverlap, {"Blocked", "Overlapped"}) + one_of(kBuffers, {"TwoSlots", "ThreeSlots"}) + one_of(kModel, {"Gpt2", "Llama"}) +
         fmt::format("Stage{}Ranks{}", c[kStage], c[kRanks] + 1) + one_of(kMicroBatches, {"", "MicroBatches"}) + one_of(kRecompute, {"", "Recompute"}) +
         one_of(kDtype, {"Fp32", "Bf16"}) + one_of(kHost, {"", "OnOneHost"}) + one_of(kEarly, {"", "UpdatedEarly"});
}

// Where a training as `c` says, in which something sleeps, differs from `test` with everything on the device; empty where no bit does.
inline std::string difference_when_asleep(TrainingCase test, const Choice& c) {
  const auto resident = train(test);
  test.offload = offload_of(c);
  return first_difference(train(test), resident);
}

}  // namespace zerorun::testing::lattice
