// The ranks of a run, watched.
#pragma once
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/mpi_session.h"
#include "launcher/settings.h"

namespace zerorun {

// As connect(), by settings.comm and run.determinism. A wait of comm.timeout_seconds is an error that says for whom; a rank of this host whose
// process ends without a word is named on standard error, by one of the others, and mpirun ends the job.
std::shared_ptr<Communicator> connect_ranks(MpiSession& session, const Settings& settings, std::string* note = nullptr);

}  // namespace zerorun
