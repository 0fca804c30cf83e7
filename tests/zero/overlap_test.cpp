// What a step with sleeping state takes, on a clock that is computed: overlapped it is bounded by the slowest part of each phase, blocked it is
// the sum of the parts; and what goes wrong with the order of moves is seen.
#include <gtest/gtest.h>

#include <algorithm>

#include "comm/thread_communicator.h"
#include "core/error.h"
#include "tests/zero/observed_unit.h"
#include "tests/zero/virtual_clock.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

using Device = SleepingPlace::Device;

struct Seconds {
  double forward, backward;  // of a unit
  double up, down, update;   // of a group's move or update
};

void PrintTo(const Seconds& s, std::ostream* out) { *out << fmt::format("{} {} of computation, {} up, {} down, {} of updates", s.forward, s.backward, s.up, s.down, s.update); }

struct Measured {
  double step = 0, up = 0, down = 0, update = 0;  // seconds of a step, once steps are alike
};

constexpr int kLayers = 8, kUnits = kLayers + 2;

Measured run(const Seconds& seconds, bool overlaps, int buffer_count, bool early = false) {
  VirtualClock clock(
      [&](const std::string& stream, const Task& task) {
        if (stream == "update") return seconds.update;
        return stream == "up" ? seconds.up : task.label.starts_with("gradient") ? seconds.down : 0.0;
      },
      /*seed=*/7);
  const Model plain = make_gpt2({.vocab_size = 30, .hidden_size = 8, .num_hidden_layers = kLayers, .num_attention_heads = 2, .max_position_embeddings = 4,
                                 .tie_word_embeddings = false});
  const Model model = observed(plain, [&](const std::string&, bool backward) { clock.compute(backward ? seconds.backward : seconds.forward); });
  EngineOptions options{.sharding = Sharding::of_stage(3)};
  options.offload.parameters = options.offload.optimizer = {Device::host, "", overlaps};
  options.offload.buffer_count = buffer_count;
  if (early) options.max_norm = 0, options.check_finite = false;
  options.offload.make_stream = [&](const std::string& name, int) { return clock.make_stream(name); };
  Measured measured;
  run_ranks(1, [&](Communicator& communicator) {
    MemoryLedger ledger;
    const auto optimizer = make_adamw({});
    Engine engine(model, communicator, *optimizer, ledger, options);
    const CountedBatches batches(30, 4, 2);
    const auto now = [&] { return Measured{clock.now(), clock.busy("up"), clock.busy("down"), clock.busy("update")}; };
    constexpr int kWarm = 2, kSteps = 4;
    Measured before;
    for (int64_t step = 0; step < kWarm + kSteps; ++step) {
      if (step == kWarm) before = now();
      const Batch batch = batches.train(step, 0, 2);
      engine.train_step({&batch, 1}, 1e-3);
    }
    const auto after = now();
    const auto per_step = [&](double Measured::*part) { return (after.*part - before.*part) / kSteps; };
    measured = {per_step(&Measured::step), per_step(&Measured::up), per_step(&Measured::down), per_step(&Measured::update)};
  });
  return measured;
}

class Overlap : public ::testing::TestWithParam<Seconds> {};

// What bounds each phase: forward with the updates before it, and backward.
INSTANTIATE_TEST_SUITE_P(Ratios, Overlap, ::testing::Values(Seconds{1, 2, 1, 1, 1},      // balanced
                                                            Seconds{3, 6, 1, 1, 1},      // computation
                                                            Seconds{1, 2, 4, 1, 1},      // to the device
                                                            Seconds{1, 2, 1, 5, 1},      // from the device
                                                            Seconds{1, 2, 1, 1, 3},      // updates
                                                            Seconds{1, 1.5, 1, 1.5, 1},  // all alike
                                                            Seconds{0.1, 0.1, 1, 0.3, 0.7}));

TEST_P(Overlap, AStepTakesWhatTheSlowestPartOfEachPhaseTakes) {
  const auto& s = GetParam();
  for (const int buffer_count : {2, 3}) {
    const auto measured = run(s, /*overlaps=*/true, buffer_count);
    const double fetched_again = measured.up - kUnits * s.up;  // in backward
    EXPECT_GT(fetched_again, 0);
    EXPECT_LE(fetched_again, (kLayers - 1) * s.up) << "the slice of the last block is still there";
    EXPECT_NEAR(measured.down, kUnits * s.down, 1e-9);
    EXPECT_NEAR(measured.update, kUnits * s.update, 1e-9);
    const double forward = std::max({kUnits * s.forward, kUnits * s.up, kUnits * s.update});
    const double backward = std::max({kUnits * s.backward, fetched_again, kUnits * s.down});
    EXPECT_LE(measured.step, 1.05 * (forward + backward) + s.up + s.down) << buffer_count << " slots";
  }
}

// But for the last groups' updates, which wait for the last gradients.
TEST_P(Overlap, UpdatesRunBesideBackwardWhereNothingIsLeftToWaitFor) {
  const auto& s = GetParam();
  const auto measured = run(s, /*overlaps=*/true, 2, /*early=*/true);
  const double fetched_again = measured.up - kUnits * s.up;
  const double forward = std::max(kUnits * s.forward, kUnits * s.up);
  const double backward = std::max({kUnits * s.backward, fetched_again, kUnits * s.down, kUnits * s.update});
  EXPECT_LE(measured.step, 1.05 * (forward + backward) + s.up + s.down + s.update);
}

TEST_P(Overlap, BlockedItIsTheSumOfItsParts) {
  const auto& s = GetParam();
  const auto measured = run(s, /*overlaps=*/false, 2);
  EXPECT_NEAR(measured.step, kUnits * (s.forward + s.backward) + measured.up + measured.down + measured.update, 1e-9);
}

}  // namespace
}  // namespace zerorun::testing
