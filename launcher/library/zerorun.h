// zerorun as a library: the engine under a loop of your own. Everything is in namespace zerorun; what fails throws
// zerorun::Error (its kind is the exit status that the program would have), and nothing here exits.
//
// A program calls install_counting_allocators() first thing in main, so that the memory ledger counts; makes a Model (one of
// the families, or a chain of its own units), an Optimizer, and on every rank a Communicator, a MemoryLedger and an Engine;
// then each rank calls engine.train_step with its batches inside a MemoryScope. dry_run predicts memory and traffic of that
// without running it. Ranks are threads (run_ranks) or MPI processes (MpiSession and connect(), also over a
// communicator of the caller's). HfFolder gives the weights that a run starts from (EngineOptions.initial); SafetensorsWriter and
// hf_config_json write what Engine::for_each_parameter reads. torch::nn modules as units: zerorun/module_unit.h.
//
// REQUIRES C++20, and zerorun::zerorun of find_package(zerorun), which brings LibTorch's headers. Includes light headers only,
// never torch/torch.h.
#pragma once

#include "comm/communicator.h"
#include "comm/connect.h"
#include "comm/counting_communicator.h"
#include "comm/mpi_communicator.h"
#include "comm/mpi_session.h"
#include "comm/simulated_communicator.h"
#include "comm/thread_communicator.h"
#include "core/data/batches.h"
#include "core/data/corpus.h"
#include "core/error.h"
#include "core/kv_cache.h"
#include "core/memory.h"
#include "core/model.h"
#include "core/models/gpt2.h"
#include "core/models/llama.h"
#include "core/models/llama_presets.h"
#include "core/models/presets.h"
#include "core/ops/attention.h"
#include "core/ops/dropout.h"
#include "core/ops/embedding.h"
#include "core/ops/gradient_in_forward.h"
#include "core/ops/layer_norm.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/rms_norm.h"
#include "core/ops/rotary.h"
#include "core/ops/swiglu.h"
#include "core/random.h"
#include "core/sampling.h"
#include "core/threads.h"
#include "core/unit.h"
#include "core/weights/hf_folder.h"
#include "core/weights/safetensors_writer.h"
#include "zero/dry_run.h"
#include "zero/engine.h"
#include "zero/evaluation.h"
#include "zero/generation.h"
#include "zero/optimizer.h"
#include "zero/sharding.h"
