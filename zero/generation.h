// Generation: one token after the other, each drawn from the logits for what came before.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "core/memory.h"
#include "core/model.h"
#include "core/sampling.h"
#include "zero/engine.h"

namespace zerorun {

struct GenerationOptions {
  int64_t max_tokens = 64;  // of each sample, after the prompt
  Sampling sampling = {};
  bool cached = true;  // false: every token computes the whole text again, what the cache is held against
};

struct GenerationTimes {
  double prefill_seconds = 0;          // to the first token
  std::vector<double> decode_seconds;  // of each token after it
  int64_t cache_bytes = 0;             // of this rank
};

// Gets the new token of each sample. Its time is not counted.
using TokenVisitor = std::function<void(std::span<const int64_t> tokens)>;

// Collective: every rank passes the same int64 prompt [samples, length], options and kind of engine. All ranks get the same
// tokens: draws are from (seed, sample, position), and rank 0's holds where another machine's arithmetic differs (8 bytes a sample
// from each rank to each). Memory is that of Engine::infer, the cache for length + max_tokens - 1 positions. On the meta device nothing is drawn. REQUIRES the length and
// max_tokens to be positive. Throws what KeyValueCache, Engine::infer, validate() and draw_token throw.
GenerationTimes generate(const Model& model, Engine& engine, Communicator& communicator, MemoryLedger& ledger, const at::Tensor& prompt,
                         const GenerationOptions& options, const TokenVisitor& visit);

}  // namespace zerorun
