// A disk that fails: whichever of its reads or writes it is, the training ends with that error, and with nothing else.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "core/error.h"
#include "tests/zero/world.h"

namespace zerorun::testing {
namespace {

using Device = SleepingPlace::Device;

// Counts the moves of all stores of a run; the one with the number fails.
struct Failures {
  std::atomic<int> moves = 0;
  int fails = -1;

  void count() {
    if (moves++ == fails) fail(ErrorKind::io, "offload path scratch: 4096 bytes at 0 cannot be read: Input/output error");
  }
};

class FailingStore final : public Store {
 public:
  FailingStore(std::unique_ptr<Store> inner, Failures& failures) : inner_(std::move(inner)), failures_(failures) {}
  int64_t bytes() const override { return inner_->bytes(); }
  bool is_memory() const override { return inner_->is_memory(); }
  std::byte* data() override { return inner_->data(); }
  void use_memory(std::span<std::byte> memory) override { inner_->use_memory(memory); }
  void read(Extents to) override {
    failures_.count();
    inner_->read(to);
  }
  void write(Extents from) override {
    failures_.count();
    inner_->write(from);
  }

 private:
  std::unique_ptr<Store> inner_;
  Failures& failures_;
};

class DiskFailure : public ::testing::TestWithParam<bool> {
 protected:
  // On two ranks, with all that can sleep on disk, checksums too.
  TrainingResult train_on(Failures& failures) {
    TrainingCase test;
    test.stage = 3;
    test.ranks = 2;
    test.steps = 2;
    test.seq_len = 5;
    test.global_batch_size = 2;
    test.recompute = true;
    test.gradients_from = test.steps;
    const SleepingPlace disk{Device::disk, std::filesystem::current_path().string(), GetParam()};
    test.offload.parameters = test.offload.optimizer = test.offload.activations = disk;
    test.offload.verify_disk = true;
    test.offload.disk_stripe = 2048;
    test.offload.disk_batch_bytes = 100'000;
    test.offload.make_store = [&](const SleepingPlace& place, int64_t bytes, MemoryLedger& ledger) -> std::unique_ptr<Store> {
      return std::make_unique<FailingStore>(open_store(place, bytes, ledger), failures);
    };
    return train(test);
  }
};

TEST_P(DiskFailure, OfAnyMoveEndsTheTrainingWithIt) {
  Failures none;
  train_on(none);
  const int moves = none.moves;
  EXPECT_GT(moves, 100);
  for (int move = 0; move < moves; move += 1 + move / 16) {  // all of the first, then ever fewer
    Failures failures{.moves = 0, .fails = move};
    try {
      train_on(failures);
      ADD_FAILURE() << "move " << move << " of " << moves << " failed, and the training ended well";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io) << "move " << move << ": " << error.what();
      EXPECT_NE(std::string(error.what()).find("Input/output error"), std::string::npos) << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, DiskFailure, ::testing::Bool(), [](const auto& info) { return info.param ? "Overlapped" : "Blocked"; });

}  // namespace
}  // namespace zerorun::testing
