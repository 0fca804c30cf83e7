// What the kernel and malloc say of a training, beside its ledger. Not under AddressSanitizer, whose own memory is in their figures.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string>

#include "comm/forwarding_communicator.h"
#include "comm/thread_communicator.h"
#include "tests/zero/world.h"
#include "zero/engine.h"

namespace zerorun::testing {
namespace {

constexpr int64_t kMebibyte = 1 << 20;

// The spread of what malloc says is in use, at every collective from start() on.
class BesideMalloc final : public ForwardingCommunicator {
 public:
  using ForwardingCommunicator::ForwardingCommunicator;
  Work all_gather(Span slice, Span full) override {
    look();
    return inner_.all_gather(slice, full);
  }
  Work reduce_scatter(Span full, Span slice, Span scratch, OnBlock on_block) override {
    look();
    return inner_.reduce_scatter(full, slice, scratch, on_block);
  }
  void start() { started_ = true; }
  int64_t spread() const { return highest_ - lowest_; }

 private:
  void look() {
    if (!started_) return;
    const auto info = mallinfo2();
    const auto in_use = static_cast<int64_t>(info.uordblks + info.hblkhd);
    lowest_ = std::min(lowest_, in_use);
    highest_ = std::max(highest_, in_use);
  }

  bool started_ = false;
  int64_t lowest_ = INT64_MAX, highest_ = 0;
};

int64_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::stoll(line.substr(8)) * 1024;
  }
  throw std::runtime_error("no RssAnon in /proc/self/status");
}

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// Trains some steps of a GPT-2 whose peak is above 500 MiB; after_step(step, communicator, ledger) follows each.
template <typename AfterStep>
void train(int64_t steps, AfterStep&& after_step) {
  const Model model = make_gpt2({.vocab_size = 4096, .hidden_size = 512, .num_hidden_layers = 6, .num_attention_heads = 8, .max_position_embeddings = 128});
  const auto optimizer = make_adamw({});
  run_ranks(1, [&](Communicator& inner) {
    MemoryLedger ledger;
    BesideMalloc communicator(inner);
    Engine engine(model, communicator, *optimizer, ledger, {.sharding = Sharding::of_stage(3)});
    const CountedBatches batches(4096, 128, 8);
    for (int64_t step = 0; step < steps; ++step) {
      {
        const MemoryScope scope(ledger, Category::activations);
        engine.train_step(std::array{batches.train(step, 0, 8)}, 1e-3);
      }
      after_step(step, communicator, ledger);
    }
    EXPECT_GT(ledger.usage().total_peak, 500 * kMebibyte);
  });
}

TEST(Residency, NoLargeTensorComesFromMalloc) {
  train(3, [](int64_t step, BesideMalloc& communicator, MemoryLedger&) {
    communicator.start();  // matrix products have their packing buffers now
    if (step < 2) return;
    EXPECT_LT(communicator.spread(), kMebibyte);
  });
}

TEST(Residency, TheProcessHoldsWhatTheLedgerSaysOfItsPeakAndArena) {
  train(1, [](int64_t, BesideMalloc&, MemoryLedger&) {});  // what LibTorch takes at first use
  const int64_t before = resident_bytes();
  train(2, [&](int64_t, BesideMalloc&, MemoryLedger& ledger) {
    const auto usage = ledger.usage();
    const auto more = static_cast<double>(resident_bytes() - before);
    EXPECT_NEAR(more, static_cast<double>(usage.total_peak + usage.arena_overhead), 16.0 * kMebibyte);  // a thread of its own
  });
}

TEST(Residency, AStepFindsThePagesOfTheOneBefore) {
  int64_t before = 0;
  train(4, [&](int64_t step, BesideMalloc&, MemoryLedger&) {
    const int64_t faults = page_faults() - before;
    before += faults;
    if (step < 3) return;
    EXPECT_LT(faults, 1000);  // of more than 128,000 pages
  });
}

}  // namespace
}  // namespace zerorun::testing
