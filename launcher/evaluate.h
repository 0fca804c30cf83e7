// `zerorun evaluate FILE`: the loss and the perplexity of a model over the validation split.
#pragma once
#include <iosfwd>

#include "comm/mpi_session.h"
#include "launcher/settings.h"

namespace zerorun {

// Collective. Rank 0 prints a line, or JSON. The weights are those of model.hf_path, or fresh ones; there are no gradients and no
// optimizer states, and no step is taken: the run's steps, batch and optimizer do not matter. Throws Error(configuration) without
// a split, Error(out_of_memory) where it cannot fit, and what a training throws for its files.
void evaluate(Settings settings, bool json, MpiSession& session, std::ostream& out);

}  // namespace zerorun
