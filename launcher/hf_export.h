// The trained weights as a Hugging Face folder, at the end of a run.
#pragma once
#include <string>

#include "core/weights/hf_config.h"
#include "zero/engine.h"

namespace zerorun {

// Collective. Gathers one group after the other; rank 0 streams it to `folder`: config.json and model.safetensors in fp32,
// the tensors in the order of the groups, each file whole or absent. Takes the largest group once more, on every rank; sends what a gather
// of all groups sends. REQUIRES that `config` is the engine's model. Throws Error(cannot_create), Error(io) on rank 0.
void export_hf(Engine& engine, const Model& model, const ModelConfig& config, const std::string& folder, bool writes);

}  // namespace zerorun
