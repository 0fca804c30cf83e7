// Batches: what a rank reads at a step. A sample is a window of seq_len tokens with its targets, the same tokens one further.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/data/corpus.h"

namespace zerorun {

struct Batch {
  at::Tensor tokens;         // int64 [samples, seq_len]
  at::Tensor targets;        // int64 [samples, seq_len]
  int64_t first_sample = 0;  // global: number of the first sample since step 0, or of the first validation window
};

// Thread-safe. Abstract, so that tests can put something in between.
class BatchSource {
 public:
  virtual ~BatchSource() = default;

  // Samples [first, first + count) of the global batch of a step.
  virtual Batch train(int64_t step, int64_t first, int64_t count) const = 0;
  virtual int64_t validation_windows() const = 0;
  // Validation windows [first, first + count), in the order of the text. Windows past the last have no targets
  // (kIgnoredTarget), so that every rank of a last, partly empty batch still has one to compute with.
  virtual Batch validation(int64_t first, int64_t count) const = 0;
};

// A rank's part of a step: micro-batches of `size` samples, dealt in order to the ranks and then to the micro-batches.
std::vector<Batch> micro_batches(const BatchSource& source, int64_t step, int count, int64_t size, int rank, int ranks);

// Window w of n tokens is tokens [w T, (w+1) T] with T = seq_len; there are (n-1) / T of them. Sample s of the run, counted
// over all ranks since step 0, is window permute(seed, s / windows, s % windows): each epoch has its own order, a batch may span
// two epochs, and what a step reads depends on nothing but {seed, step, global_batch_size}: not on the number of ranks.
// Tensors are made on the calling thread by at::empty on cpu, and so charged to its memory scope: 16 bytes a token.
class CorpusBatches : public BatchSource {
 public:
  struct Options {
    uint64_t seed = 0;
    int64_t seq_len = 0;
    int64_t global_batch_size = 0;
  };

  // Throws bad_data when train, or validation where there is one, is shorter than one window of seq_len + 1 tokens.
  // REQUIRES seq_len > 0, global_batch_size > 0.
  CorpusBatches(Split split, Options options);

  // Of both splits: see Corpus::fingerprint().
  uint64_t fingerprint() const;

  int64_t train_windows() const { return train_windows_; }
  Batch train(int64_t step, int64_t first, int64_t count) const override;
  int64_t validation_windows() const override { return validation_windows_; }
  Batch validation(int64_t first, int64_t count) const override;

 private:
  Split split_;
  Options options_;
  int64_t train_windows_;
  int64_t validation_windows_;
};

}  // namespace zerorun
