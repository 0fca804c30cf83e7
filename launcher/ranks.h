// The ranks of a run, watched.
#pragma once
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/mpi_session.h"

namespace zerorun {

inline constexpr double kTimeoutSeconds = 120;  // where there is no configuration to say it

// As connect(). A wait of `timeout_seconds` is an error that says for whom; a rank of this host whose process ends without a word is
// named on standard error, by one of the others, and mpirun ends the job.
std::shared_ptr<Communicator> connect_ranks(MpiSession& session, double timeout_seconds, std::string* note = nullptr);

}  // namespace zerorun
