// What ranks make sure of before they work on something together.
#pragma once
#include <cstdint>
#include <string>

#include "comm/gather.h"
#include "core/data/batches.h"
#include "launcher/settings.h"

namespace zerorun {

// Throws Error(disagreement) that says "rank r " and then `otherwise`, where a rank's value is not that of rank 0. Collective.
void agree_on(Communicator& communicator, uint64_t own, const char* otherwise);

// What a rank runs, in words: "zerorun 0.5.0 (program 1f..., LibTorch 2.11.0, little-endian)".
std::string this_build();

// Throws Error(disagreement) that names both, where a rank runs something else than rank 0. Collective.
void agree_on_build(Communicator& communicator, const std::string& own);

// Every rank read the file itself: throws Error(disagreement) where they have not read the same. Collective.
void agree(Communicator& communicator, const Settings& settings);

// Every rank opened the files itself: throws Error(disagreement) where they are not the same. Collective.
void agree(Communicator& communicator, const CorpusBatches& data);

// Throws Error(configuration) where comm.backend asks for what this build does not have.
void check_backend(const Settings& settings);

}  // namespace zerorun
