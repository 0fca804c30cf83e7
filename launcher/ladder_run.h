// `zerorun bench ladder`: runs the rungs on this machine, one after the other.
#pragma once
#include <iosfwd>

#include "comm/mpi_session.h"
#include "launcher/ladder.h"

namespace zerorun {

// Collective. Rank 0 prints the table, a row as soon as it is there, or JSON at the end. Under mpirun the sharded rungs run on
// its ranks, and the others on rank 0 while the rest waits; without it the sharded rungs run on two ranks that are threads of
// this process. Each rung has an engine and a ledger of its own and frees all before the next; one that would not fit is
// predicted only. Throws Error(configuration) for a preset that is none, and sizes that contradict each other; Error(usage) as
// ladder_rungs does.
void run_ladder(const LadderOptions& options, MpiSession& session, std::ostream& out);

}  // namespace zerorun
