// Batches of random tokens: for measurements that need work, not text.
#pragma once
#include <cstdint>

#include "core/data/batches.h"

namespace zerorun {

// Tokens are uniform in [0, vocabulary), from counters: sample s is the same whoever reads it, at every number of ranks. There is
// no validation split. Tensors are made on the calling thread, as CorpusBatches makes them.
class RandomBatches : public BatchSource {
 public:
  struct Options {
    uint64_t seed = 0;
    int64_t vocabulary = 0;
    int64_t seq_len = 0;
    int64_t global_batch_size = 0;
  };

  // REQUIRES positive sizes, and a vocabulary of at most 2^32.
  explicit RandomBatches(Options options);

  Batch train(int64_t step, int64_t first, int64_t count) const override;
  int64_t validation_windows() const override { return 0; }
  Batch validation(int64_t first, int64_t count) const override;  // throws Error(bug)

 private:
  Options options_;
};

}  // namespace zerorun
