// What ranks make sure of before they work on something together.
#pragma once
#include <cstdint>

#include "comm/gather.h"
#include "launcher/settings.h"

namespace zerorun {

// Throws Error(disagreement) that says "rank r " and then `otherwise`, where a rank's value is not that of rank 0. Collective.
void agree_on(Communicator& communicator, uint64_t own, const char* otherwise);

// Every rank read the file itself: throws Error(disagreement) where they have not read the same. Collective.
void agree(Communicator& communicator, const Settings& settings);

// Throws Error(configuration) where comm.backend asks for what this build does not have.
void check_backend(const Settings& settings);

}  // namespace zerorun
