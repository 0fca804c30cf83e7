#include "core/data/batches.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/data/permutation.h"
#include "core/error.h"
#include "core/unit.h"

namespace zerorun {
namespace {

int64_t windows_of(const TokenRange& range, int64_t seq_len, const char* name) {
  if (!range.corpus) return 0;
  if (range.count <= seq_len)
    fail(ErrorKind::bad_data, "data.{} has {} tokens; one window of training.seq_len {} needs {}", name, range.count, seq_len,
         seq_len + 1);
  return (range.count - 1) / seq_len;
}

// Row i is window window_of(i) and its targets.
template <typename WindowOf>
Batch read(const TokenRange& range, int64_t count, int64_t seq_len, int64_t first_sample, WindowOf window_of) {
  Batch batch{at::empty({count, seq_len}, at::kLong), at::empty({count, seq_len}, at::kLong), first_sample};
  auto* tokens = batch.tokens.mutable_data_ptr<int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i, tokens += seq_len, targets += seq_len) {
    const int64_t begin = range.first + window_of(i) * seq_len;
    range.corpus->copy(begin, seq_len, tokens);
    std::copy_n(tokens + 1, seq_len - 1, targets);
    range.corpus->copy(begin + seq_len, 1, targets + seq_len - 1);
  }
  return batch;
}

}  // namespace

CorpusBatches::CorpusBatches(Split split, Options options) : split_(std::move(split)), options_(options) {
  ZR_CHECK(options.seq_len > 0 && options.global_batch_size > 0, "seq_len {} and global_batch_size {}, expected positive numbers",
           options.seq_len, options.global_batch_size);
  ZR_CHECK(split_.train.corpus, "batches without a corpus to train on");
  train_windows_ = windows_of(split_.train, options.seq_len, "train");
  validation_windows_ = windows_of(split_.validation, options.seq_len, "validation");
}

uint64_t CorpusBatches::fingerprint() const {
  uint64_t both = 0;
  for (const auto* range : {&split_.train, &split_.validation}) {
    constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
    both = both * kOdd + (range->corpus ? range->corpus->fingerprint() : 0);
  }
  return both;
}

Batch CorpusBatches::train(int64_t step, int64_t first, int64_t count) const {
  ZR_CHECK(step >= 0 && first >= 0 && count > 0 && count <= options_.global_batch_size - first,
           "step {}, samples {} + {} of a global batch of {}", step, first, count, options_.global_batch_size);
  const int64_t first_sample = step * options_.global_batch_size + first;
  return read(split_.train, count, options_.seq_len, first_sample, [&](int64_t i) {
    const int64_t sample = first_sample + i;
    return permute(options_.seed, sample / train_windows_, sample % train_windows_, train_windows_);
  });
}

Batch CorpusBatches::validation(int64_t first, int64_t count) const {
  ZR_CHECK(validation_windows_ > 0 && first >= 0 && count > 0, "validation windows {} + {} of {}", first, count, validation_windows_);
  auto batch = read(split_.validation, count, options_.seq_len, first, [&](int64_t i) { return (first + i) % validation_windows_; });
  const int64_t real = std::clamp<int64_t>(validation_windows_ - first, 0, count);
  auto* targets = batch.targets.mutable_data_ptr<int64_t>();
  std::fill(targets + real * options_.seq_len, targets + count * options_.seq_len, kIgnoredTarget);
  return batch;
}

std::vector<Batch> micro_batches(const BatchSource& source, int64_t step, int count, int64_t size, int rank, int ranks) {
  std::vector<Batch> batches;
  for (int m = 0; m < count; ++m) batches.push_back(source.train(step, (m * ranks + rank) * size, size));
  return batches;
}

}  // namespace zerorun
