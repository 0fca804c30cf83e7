#include "zero/evaluation.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace zerorun {

int64_t evaluation_batches(int64_t windows, int64_t global_batch_size, int64_t wanted) {
  const int64_t all = (windows + global_batch_size - 1) / global_batch_size;
  return wanted > 0 ? std::min(wanted, all) : all;
}

LossSum sum_over_split(Engine& engine, const Communicator& communicator, const BatchSource& source, int64_t micro_batch_size,
                       int64_t batches, MemoryLedger& ledger) {
  ZR_CHECK(source.validation_windows() > 0, "there is no validation split to evaluate");
  const int64_t global_batch_size = micro_batch_size * communicator.size();
  LossSum total;
  for (int64_t b = 0; b < evaluation_batches(source.validation_windows(), global_batch_size, batches); ++b) {
    const MemoryScope scope(ledger, batch_category(ledger));
    const auto batch = source.validation(b * global_batch_size + communicator.rank() * micro_batch_size, micro_batch_size);
    const auto loss = engine.evaluate(batch);
    total.sum += loss.sum;
    total.tokens += loss.tokens;
  }
  if (!std::isfinite(total.sum)) {
    fail(ErrorKind::non_finite, "the validation loss is {}; the weights have left what precision.param_dtype can compute with", total.sum);
  }
  return total;
}

double evaluate_split(Engine& engine, const Communicator& communicator, const BatchSource& source, int64_t micro_batch_size,
                      int64_t batches, MemoryLedger& ledger) {
  const auto total = sum_over_split(engine, communicator, source, micro_batch_size, batches, ledger);
  return total.sum / static_cast<double>(total.tokens);
}

}  // namespace zerorun
