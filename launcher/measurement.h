// What a run has taken.
#pragma once
#include <vector>

#include "comm/communicator.h"
#include "core/memory.h"
#include "launcher/report.h"

namespace zerorun {

// Fills in the measured half of every rank's memory, as it is now: from the ledgers, of what was allocated without a scope, of the processes and their GPUs. Collective.
void measure(std::vector<RankMemory>& memory, Communicator& communicator, const MemoryLedger& ledger);

}  // namespace zerorun
