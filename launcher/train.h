// `zerorun train FILE`: from the settings to the report.
#pragma once
#include <iosfwd>

#include "comm/mpi_session.h"
#include "launcher/settings.h"
#include "launcher/signals.h"

namespace zerorun {

// Collective. Rank 0 writes to `out` and into the run folder. Returns the exit status: 0, or that of ErrorKind::stopped
// after an orderly end on request.
int train(const Settings& settings, MpiSession& session, const StopSignals& signals, std::ostream& out);

}  // namespace zerorun
