// The prediction: the engine itself, on LibTorch's meta device, whose tensors have shapes and no bytes, with a
// communicator that pretends to be one rank of many. It needs no peers, and takes milliseconds and a few MB whatever the
// model. It cannot drift from the code, because it is the code; it never reads a measured figure.
#pragma once
#include <cstdint>

#include "comm/counting_communicator.h"
#include "core/gpu/shape.h"
#include "core/memory.h"
#include "core/model.h"
#include "zero/engine.h"
#include "zero/optimizer.h"
#include "zero/timeline.h"

namespace zerorun {

struct Workload {
  int64_t micro_batch_size = 1;  // samples per rank and step
  int64_t seq_len = 1;           // tokens per sample
  int64_t steps = 1;  // 0: evaluations or generations only
  int64_t evaluations = 0;  // passes over a validation split
  int64_t batches_per_evaluation = 0;
  int64_t generations = 0;  // calls of generate(), each with a batch of prompts of seq_len tokens
  int64_t new_tokens = 1;   // of each sample of a generation
  bool reads_parameters = false;  // all of them once, at the end: Engine::for_each_parameter
};

struct DryRunOptions {
  int rank = 0;
  int ranks = 1;
  int threads = 1;  // of the rank: kernels allocate scratch per thread
  Side device = Side::host;  // what the meta device stands for
  gpu::Shape gpu = {};       // where that is a GPU
  Readers readers = Readers::owner;  // of registered memory; all: sharded parameters need no slots to be gathered in
  EngineOptions engine;
  Workload workload;
  MemoryTimeline* timeline = nullptr;  // becomes that of the first step and of an evaluation; it outlives the call
};

struct Prediction {
  int ranks = 1;        // of the run
  MemoryUsage memory;   // of the rank, peaks over steps, evaluations and generations
  Traffic traffic;      // of the rank, over the same
  int64_t padding = 0;  // elements of whole groups that hold no parameter
  StepWork step;        // of the rank, once steps are alike; without steps, of an evaluation, or of the last token
  // Peaks with the reading of the parameters: total_peak and arena_overhead; with a GPU what is reserved of it, and what lies in host memory beside.
  int64_t peak_to_the_end = 0, gpu_reserved_to_the_end = 0, host_to_the_end = 0;
};

// Throws Error(configuration) that names the operation where a unit uses one that LibTorch cannot run without data.
Prediction dry_run(const Model& model, const Optimizer& optimizer, const DryRunOptions& options);

}  // namespace zerorun
