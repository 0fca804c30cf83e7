// The order of moves is what makes the bits right: one edge that is forgotten is seen. On streams whose tasks do their work at drawn moments, so that
// what happens on one machine happens on all.
#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "tests/zero/virtual_clock.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

using Device = SleepingPlace::Device;

// Forgets what the tasks of a label come after.
class ForgetfulStream final : public Stream {
 public:
  ForgetfulStream(std::unique_ptr<Stream> inner, std::string label) : inner_(std::move(inner)), label_(std::move(label)) {}
  using Stream::submit;
  Event submit(Task task, std::vector<Event> after) override {
    if (task.label.starts_with(label_)) after.clear();
    return inner_->submit(std::move(task), std::move(after));
  }

 private:
  std::unique_ptr<Stream> inner_;
  const std::string label_;
};

struct Fault {
  const char* name;
  const char* stream;  // whose tasks forget
  const char* label;
  bool on_disk = false;
  enum Sleeping { parameters, states_too, activations } sleeping = states_too;
};

constexpr Fault kFaults[] = {
    {"AFetchThatDoesNotWaitForItsUpdate", "up", "fetch"},
    {"AnUpdateThatDoesNotWaitForItsGradient", "update", "update"},
    {"AFetchIntoASlotThatHasNotBeenTakenBack", "up", "fetch", false, Fault::parameters},
    {"AnUpdateThatDoesNotWaitForItsRead", "update", "update", true},
    {"AReadIntoABufferThatIsInUse", "update reads", "update", true},
    {"AWriteBeforeTheUpdate", "update writes", "update", true},
    {"AFetchThatIsCopiedBeforeItIsRead", "up", "fetch", true},
    {"AnExportThatDoesNotFlush", "caller reads", "reading", true},
    {"AFrameThatIsReadBeforeItHasBeenWritten", "up reads", "fetch frame", true, Fault::activations},
    {"AFrameThatIsWrittenBeforeItIsThere", "down writes", "send frame", true, Fault::activations},
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

TrainingCase tiny() {
  TrainingCase test;
  test.stage = 3;
  test.steps = 3;
  test.seq_len = 5;
  test.global_batch_size = 2;
  test.gradients_from = test.steps;
  return test;
}

TrainingResult train_on_virtual_streams(const Fault& fault, uint64_t seed, bool forget) {
  VirtualClock clock([](const std::string&, const Task& task) { return 1.0 + static_cast<double>(task.bytes % 7); }, seed);
  auto test = tiny();
  const SleepingPlace place{fault.on_disk ? Device::disk : Device::host, std::filesystem::current_path().string()};
  if (fault.sleeping == Fault::activations) {
    test.offload.activations = place;
    test.recompute = true;
  } else {
    test.offload.parameters = place;
    if (fault.sleeping == Fault::states_too) test.offload.optimizer = place;
  }
  test.offload.disk_stripe = 2048;
  test.offload.disk_batch_bytes = 100'000;
  test.offload.make_stream = [&](const std::string& name, int) -> std::unique_ptr<Stream> {
    auto stream = clock.make_stream(name);
    if (!forget || name != fault.stream) return stream;
    return std::make_unique<ForgetfulStream>(std::move(stream), fault.label);
  };
  return train(test);
}

class Faults : public ::testing::TestWithParam<Fault> {};

INSTANTIATE_TEST_SUITE_P(All, Faults, ::testing::ValuesIn(kFaults), [](const auto& info) { return std::string(info.param.name); });

constexpr uint64_t kSeeds = 6;

TEST_P(Faults, IsSeen) {
  const auto resident = train(tiny());
  uint64_t seen = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    EXPECT_EQ(first_difference(train_on_virtual_streams(GetParam(), seed, false), resident), "") << "with nothing forgotten, seed " << seed;
    try {
      seen += !first_difference(train_on_virtual_streams(GetParam(), seed, true), resident).empty();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::non_finite) << error.what();
      ++seen;
    }
  }
  EXPECT_GT(seen, 0u);
}

}  // namespace
}  // namespace zerorun::testing
