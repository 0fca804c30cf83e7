// The few bytes that ranks tell each other at every step. All results are the same bits on every rank.
#pragma once
#include <cstdint>
#include <span>

#include "comm/communicator.h"
#include "core/data/batches.h"

namespace zerorun {

// Target tokens of all ranks: those that count in the loss. On the meta device, all. Sends 8 bytes to each rank.
int64_t total_targets(Communicator& communicator, std::span<const Batch> own);

struct StepSums {
  double loss = 0, squared_norm = 0;
};
// Added in rank order. Sends 16 bytes to each rank.
StepSums sum_over_ranks(Communicator& communicator, StepSums own);

}  // namespace zerorun
