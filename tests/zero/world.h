// Small models and what a test needs to train it on thread ranks.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/data/batches.h"
#include "core/models/gpt2.h"
#include "core/models/llama.h"
#include "zero/engine.h"

namespace zerorun::testing {

inline Gpt2Config tiny_gpt2(bool tied) {
  return {.vocab_size = 77,
          .hidden_size = 48,
          .num_hidden_layers = 3,
          .num_attention_heads = 3,
          .intermediate_size = 130,
          .max_position_embeddings = 40,
          .tie_word_embeddings = tied,
          .layer_norm_eps = 1e-5};
}

// Grouped heads whose width is not hidden_size / heads.
inline LlamaConfig tiny_llama(bool tied) {
  return {.vocab_size = 77,
          .hidden_size = 48,
          .num_hidden_layers = 3,
          .num_attention_heads = 4,
          .num_key_value_heads = 2,
          .head_dim = 10,
          .intermediate_size = 70,
          .max_position_embeddings = 40,
          .tie_word_embeddings = tied,
          .rms_norm_eps = 1e-5};
}

// Global samples from counters: the same at every number of ranks. Some targets do not count, more or fewer by sample.
class CountedBatches : public BatchSource {
 public:
  // `validation_windows` is 0 for one global batch.
  CountedBatches(int64_t vocabulary, int64_t seq_len, int64_t global_batch_size, int64_t validation_windows = 0)
      : vocabulary_(vocabulary),
        seq_len_(seq_len),
        global_batch_size_(global_batch_size),
        validation_windows_(validation_windows ? validation_windows : global_batch_size) {}

  Batch train(int64_t step, int64_t first, int64_t count) const override { return make(step * global_batch_size_ + first, count); }
  int64_t validation_windows() const override { return validation_windows_; }
  Batch validation(int64_t first, int64_t count) const override;

  Batch make(int64_t first, int64_t count) const;

 private:
  int64_t vocabulary_, seq_len_, global_batch_size_, validation_windows_;
};

struct TrainingCase {
  Gpt2Config config = tiny_gpt2(true);
  std::optional<LlamaConfig> llama;  // instead of the GPT-2
  at::Device device = at::kCPU;
  int stage = 0;
  int ranks = 1;
  int threads = 1;
  int prefetch = 1;
  int micro_batches = 1;
  bool strict = true;
  bool on_one_host = false;  // ranks share memory as processes of one host do
  Precision precision = {};
  LossScaling loss_scaling = {};
  bool recompute = false;
  OffloadOptions offload = {};
  std::vector<std::string> frozen;
  int64_t steps = 5;
  int64_t global_batch_size = 12;
  int64_t seq_len = 37;
  double lr = 1e-2;
  bool check_finite = true;
  double max_norm = 0.1;  // below every norm of these models: each step is clipped
  int64_t validation_windows = 26;  // two global batches, and a third that is partly empty
  bool sgd = false;
  int64_t gradients_from = 0;  // the first step whose gradients are read: who reads them waits for updates that are under way

  // Put between the engine and what it uses: how faults are injected. Null: nothing in between.
  std::function<std::unique_ptr<Communicator>(Communicator&)> wrap_communicator;
  std::function<std::unique_ptr<Optimizer>(const Optimizer&)> wrap_optimizer;
  std::function<std::unique_ptr<BatchSource>(const BatchSource&, int rank)> wrap_batches;
  std::function<std::shared_ptr<const Unit>(const Unit&)> wrap_unit;
};

using Values = std::map<std::string, std::vector<float>>;  // by name of the parameter

// What a training leaves, from rank 0.
struct TrainingResult {
  std::vector<double> losses, norms;
  std::vector<bool> skipped;
  double validation_loss = 0;
  std::vector<Values> gradients;  // of each step, before clipping
  Values weights;                 // after the last step
};

Model model_of(const TrainingCase& test);
int64_t vocabulary_of(const TrainingCase& test);
std::unique_ptr<Optimizer> optimizer_of(const TrainingCase& test);

// With the engine, on thread ranks.
TrainingResult train(const TrainingCase& test);

// The same with plain LibTorch: one autograd graph over the whole model, written out here once more, plain
// cross-entropy, at::_fused_adamw_ or SGD. Global batch on one rank.
TrainingResult train_plainly(const TrainingCase& test);

// The first name at which two sets of values differ in a bit, with the place; empty where they are equal.
std::string first_difference(const TrainingResult& a, const TrainingResult& b);

// |a - b| / |b| in the L2 norm.
double relative_l2(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace zerorun::testing
