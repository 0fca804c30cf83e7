// From settings to the objects of a run. Errors name the key.
#pragma once
#include <memory>

#include "core/data/batches.h"
#include "core/model.h"
#include "core/weights/hf_config.h"
#include "launcher/settings.h"
#include "zero/engine.h"
#include "zero/optimizer.h"

namespace zerorun {

// The preset with the fields that are set over it. Throws Error(configuration) for an unknown preset (with the nearest name),
// for sizes that contradict each other, and where training.seq_len exceeds the model's positions.
Model make_model(const Settings& settings);
ModelConfig model_config(const Settings& settings);
int64_t vocabulary_of(const Settings& settings);

std::unique_ptr<Optimizer> make_optimizer(const Settings::Optimizer& settings);
at::ScalarType dtype_of(Settings::ParamDtype dtype);
OffloadOptions offload_options(const Settings::ZeroOptimization& settings);
EngineOptions engine_options(const Settings& settings, int ranks);

// Opens the files and checks their tokens against the vocabulary.
CorpusBatches open_data(const Settings& settings);

// Threads of a rank that shares its host with `local_ranks` - 1 others.
int threads_of(const Settings& settings, int local_ranks);

}  // namespace zerorun
