// `zerorun generate`: text or token ids that a model goes on with, on one rank or on several that hold the weights between them.
#pragma once
#include <iosfwd>

#include "comm/mpi_session.h"
#include "launcher/generate_command.h"

namespace zerorun {

// Collective. Weights are whole on one rank, and sharded over several (stage 3). Rank 0 writes to `out` what is generated, as it
// comes, and to `notes` what is worth knowing. Throws what HfFolder throws; Error(bad_data) for a prompt that the model cannot
// take: too long, ids outside the vocabulary; Error(usage) for a text where the model's tokens are not bytes; Error(disagreement)
// where ranks were not started alike.
void generate(const GenerateCommand& command, MpiSession& session, std::ostream& out, std::ostream& notes);

}  // namespace zerorun
