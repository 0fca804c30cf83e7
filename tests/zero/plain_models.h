// The models once more, as one would write them with LibTorch alone: the oracle of the engine's tests.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/data/batches.h"
#include "core/models/gpt2.h"
#include "core/models/llama.h"

namespace zerorun::testing {

using at::Tensor;
using Named = std::map<std::string, Tensor>;

struct PlainModel {
  Named weights;  // leaves
  // Mean over the targets that count; of a training step, or where `step` is none of an evaluation.
  std::function<Tensor(const Named&, const Batch&, std::optional<int64_t> step)> loss;
};

PlainModel plain_gpt2(const Gpt2Config& config);
PlainModel plain_llama(const LlamaConfig& config);

// A leaf: normal where stddev > 0, else constant.
Tensor fresh_weight(const std::string& name, std::vector<int64_t> shape, double stddev, double constant);

}  // namespace zerorun::testing
