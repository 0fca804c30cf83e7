// The loss over a validation split.
#pragma once
#include "core/data/batches.h"
#include "zero/engine.h"

namespace zerorun {

// Mean loss over the first `batches` global batches of the split, or over all of it where batches is 0. A global batch is
// micro_batch_size windows per rank, dealt in order of the ranks; the last may be partly empty. Collective.
// Throws Error(non_finite), on every rank, where the loss is no number. REQUIRES micro_batch_size > 0 and a split of at least one window.
double evaluate_split(Engine& engine, const Communicator& communicator, const BatchSource& source, int64_t micro_batch_size,
                      int64_t batches, MemoryLedger& ledger);

// Its parts: the sum of the loss over the target tokens of all ranks, and their number.
LossSum sum_over_split(Engine& engine, const Communicator& communicator, const BatchSource& source, int64_t micro_batch_size,
                       int64_t batches, MemoryLedger& ledger);

// How many batches that is.
int64_t evaluation_batches(int64_t windows, int64_t global_batch_size, int64_t wanted);

}  // namespace zerorun
