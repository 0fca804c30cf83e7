#include "core/data/random_batches.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "core/random.h"

namespace zerorun {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 32;

int64_t token(const RandomBatches::Options& options, int64_t sample, int64_t position) {
  const auto low = [](int64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](int64_t value) { return static_cast<uint32_t>(value >> 32); };
  const auto words = philox4x32_10({low(position / 4), high(position / 4), low(sample), high(sample)},
                                   {static_cast<uint32_t>(options.seed), static_cast<uint32_t>(options.seed >> 32)});
  return static_cast<int64_t>((words[position % 4] * static_cast<uint64_t>(options.vocabulary)) >> 32);
}

}  // namespace

RandomBatches::RandomBatches(Options options) : options_(options) {
  ZR_CHECK(options.vocabulary > 0 && options.vocabulary <= kMostTokens && options.seq_len > 0 && options.global_batch_size > 0,
           "vocabulary {}, seq_len {}, global_batch_size {}, expected positive numbers", options.vocabulary, options.seq_len,
           options.global_batch_size);
}

Batch RandomBatches::train(int64_t step, int64_t first, int64_t count) const {
  ZR_CHECK(step >= 0 && first >= 0 && count > 0 && count <= options_.global_batch_size - first,
           "step {}, samples {} + {} of a global batch of {}", step, first, count, options_.global_batch_size);
  const int64_t length = options_.seq_len, first_sample = step * options_.global_batch_size + first;
  Batch batch{at::empty({count, length}, at::kLong), at::empty({count, length}, at::kLong), first_sample};
  auto* tokens = batch.tokens.mutable_data_ptr<int64_t>();
  auto* targets = batch.targets.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count * length; ++i) {
    const int64_t sample = first_sample + i / length, position = i % length;
    tokens[i] = token(options_, sample, position);
    targets[i] = token(options_, sample, position + 1);
  }
  return batch;
}

Batch RandomBatches::validation(int64_t first, int64_t count) const {
  fail(ErrorKind::bug, "validation windows {} + {} of random tokens, which have none", first, count);
}

}  // namespace zerorun
