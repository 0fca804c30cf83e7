// A unit is the piece of a model that is gathered, computed and released together: the embedding, a block, the head with
// its loss. It declares parameters and holds no tensors, so that ranks, the dry run and perturbed copies can share it.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace zerorun {

// Initial values that come from elsewhere than counters, e.g. from a module that a user's code fills (core/module_unit.h).
// Thread-safe: ranks may be threads.
class InitialValues {
 public:
  // What a source wants to find again when the next parameter of the group is filled. Freed after the last.
  struct Kept {
    virtual ~Kept() = default;
  };
  virtual ~InitialValues() = default;
  // Elements [first, first + count) of the parameter: the same whoever asks, for whichever part. `kept` may be another's.
  virtual void fill(uint64_t seed, int64_t first, int64_t count, float* out, std::shared_ptr<Kept>& kept) const = 0;
};

// How a fresh parameter is filled. Normal values come from counters (core/random.h): the same at every world size.
struct Init {
  enum class Kind { zeros, ones, normal, custom };
  Kind kind = Kind::zeros;
  double stddev = 0;
  std::shared_ptr<const InitialValues> values{};  // custom

  static Init zeros() { return {}; }
  static Init ones() { return {Kind::ones, 0}; }
  static Init normal(double stddev) { return {Kind::normal, stddev}; }
  static Init custom(std::shared_ptr<const InitialValues> values) { return {Kind::custom, 0, std::move(values)}; }
  bool operator==(const Init&) const = default;
};

struct Parameter {
  std::string name;  // in full, e.g. "transformer.h.0.attn.c_attn.weight"; the same name in two units is one parameter
  std::vector<int64_t> shape;
  Init init;
  bool trainable = true;  // false: frozen, without a gradient

  int64_t count() const;
  // Weight decay applies to matrices, not to vectors (norms and biases).
  bool decays() const { return shape.size() >= 2; }
  bool operator==(const Parameter&) const = default;
};

// prefill and decode are those of generation: no targets, no graph. The last unit returns logits then, fp32 [samples, V], of each
// sample's last position, whatever the dtype. In decode the tokens are one a sample, and what came before is in the cache.
enum class Mode { train, evaluate, prefill, decode };

class KeyValueCache;  // core/kv_cache.h

// Targets that count in no loss.
inline constexpr int64_t kIgnoredTarget = -100;

// Where random numbers of a training step come from (core/random.h): equal on all ranks but for the samples.
struct StepKey {
  uint64_t seed = 0;
  int64_t step = 0;
  int64_t first_sample = 0;  // global: number of the micro-batch's first sample
};

// What a step knows beside what flows from unit to unit.
struct StepContext {
  at::Tensor tokens = {};      // int64 [samples, seq_len]
  at::Tensor targets = {};     // int64 [samples, seq_len], kIgnoredTarget where none
  Mode mode = Mode::train;
  double loss_scale = 1;  // backward is seeded with it: 1 / (target tokens of the whole step, over all ranks), times fp16's scale
  StepKey key = {};
  KeyValueCache* cache = nullptr;  // in prefill and decode
  at::Tensor order = {};  // int64 [samples seq_len], in training on a GPU: where each token stands, by token (ops/embedding.h)
};

// What flows from unit to unit; empty before the first. Floating-point tensors, each part of the unit's graph.
using Carry = std::vector<at::Tensor>;
using Weights = at::TensorList;         // a unit's gathered parameters, in the order of its declaration

// Forward is const and thread-safe: ranks may be threads.
class Unit {
 public:
  Unit(std::string name, std::vector<Parameter> parameters) : name_(std::move(name)), parameters_(std::move(parameters)) {}
  virtual ~Unit() = default;

  const std::string& name() const { return name_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  // In training, runs with autograd on; weights are leaves whose .grad points into the unit's gradient slot.
  // The last unit returns one fp64 scalar, the sum of the token losses; its backward is seeded with loss_scale.
  virtual Carry forward(const StepContext& context, Weights weights, Carry carry) const = 0;

  // False where backward can do without the weights' values: they are then not gathered again.
  virtual bool backward_needs_weights() const { return true; }
  // True where the training forward already adds to the weights' .grad (the head: loss and gradient in one pass).
  virtual bool writes_gradients_in_forward() const { return false; }

  // True where the weights' gradients come from core/ops alone, which write over what is unwritten (ops/gradient.h). Autograd's own
  // accumulation does not: elsewhere the engine fills .grad with zeros first.
  virtual bool gradients_come_from_ops() const { return false; }

  // True where forward knows prefill and decode: either it computes each position by itself, or it keeps in context.cache what later
  // positions will ask for, and reads the position of its first row there. From outside the two cannot be told from a unit that mixes
  // positions and keeps nothing, whose decode would be wrong without a sign. So the answer is no until a unit says yes.
  virtual bool supports_generation() const { return false; }

 private:
  std::string name_;
  std::vector<Parameter> parameters_;
};

}  // namespace zerorun
