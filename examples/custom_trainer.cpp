// A training loop of one's own around the engine: own data, GPT-2 from the library, ZeRO stage 3. Ranks are the processes of
// mpirun -np N, or two threads where it is started alone. Prints each step, then the predicted peaks of rank 0 beside the measured.
#include <ATen/ops/empty.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "zerorun/zerorun.h"

using namespace zerorun;

constexpr Gpt2Config kModel{.vocab_size = 256, .hidden_size = 64, .num_hidden_layers = 2, .num_attention_heads = 4, .max_position_embeddings = 32};
constexpr Workload kWork{.micro_batch_size = 4, .seq_len = 32, .steps = 20};

// Each sample counts upwards from somewhere, in steps of 1 to 4.
class Counting final : public BatchSource {
 public:
  Batch train(int64_t step, int64_t first, int64_t count) const override { return make(64 * step + first, count); }
  int64_t validation_windows() const override { return 0; }
  Batch validation(int64_t first, int64_t count) const override { return make(first, count); }

 private:
  static Batch make(int64_t first, int64_t count) {
    Batch batch{at::empty({count, kWork.seq_len}, at::kLong), at::empty({count, kWork.seq_len}, at::kLong), first};
    for (int64_t i = 0; i < count * kWork.seq_len; ++i) {
      const int64_t sample = first + i / kWork.seq_len, stride = 1 + sample % 4, token = 37 * sample % 64 + stride * (i % kWork.seq_len);
      batch.tokens.data_ptr<int64_t>()[i] = token;
      batch.targets.data_ptr<int64_t>()[i] = token + stride;
    }
    return batch;
  }
};

void print_peaks(const MemoryUsage& predicted, const MemoryUsage& measured) {
  for (int c = 0; c < kCategoryCount; ++c) {
    std::printf("%-14s predicted %9lld measured %9lld\n", name_of(static_cast<Category>(c)), static_cast<long long>(predicted.peak[c]),
                static_cast<long long>(measured.peak[c]));
  }
  std::printf("%-14s predicted %9lld measured %9lld\n", "total", static_cast<long long>(predicted.total_peak),
              static_cast<long long>(measured.total_peak));
}

void train(Communicator& communicator) {
  set_compute_threads(1);
  const Model model = make_gpt2(kModel);
  const auto optimizer = make_adamw({});
  const EngineOptions options{.sharding = Sharding::of_stage(3)};
  const int rank = communicator.rank(), ranks = communicator.size();
  const auto prediction = dry_run(model, *optimizer, {.rank = rank, .ranks = ranks, .readers = communicator.readers(), .engine = options, .workload = kWork});

  MemoryLedger ledger;
  Engine engine(model, communicator, *optimizer, ledger, options);
  const Counting data;
  for (int64_t step = 0; step < kWork.steps; ++step) {
    const MemoryScope scope(ledger, Category::activations);
    const auto batches = micro_batches(data, step, options.micro_batches, kWork.micro_batch_size, rank, ranks);
    const auto result = engine.train_step(batches, 3e-3);
    if (rank == 0) std::printf("step %d loss %.4f\n", static_cast<int>(step) + 1, result.loss);
  }
  if (rank == 0) print_peaks(prediction.memory, ledger.usage());
}

int main() try {
  install_counting_allocators();
  if (!std::getenv("OMPI_COMM_WORLD_SIZE")) return run_ranks(2, train), 0;
  MpiSession session(60, [](const std::string& message) { std::fprintf(stderr, "%s\n", message.c_str()), std::_Exit(82); });
  train(*connect(session));
} catch (const std::exception& error) {
  std::fprintf(stderr, "custom_trainer: %s\n", error.what());
  return 1;  // without MPI_Finalize: mpirun ends the other ranks
}
