#include "tests/zero/world.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "comm/thread_communicator.h"
#include "core/error.h"
#include "core/random.h"
#include "core/threads.h"
#include "core/unit.h"
#include "tests/comm/host_ranks.h"
#include "zero/evaluation.h"

namespace zerorun::testing {
namespace {

Values read(Engine& engine, ParamGroup::Content content) {
  Values values;
  engine.for_each_parameter(
      [&](const Parameter& parameter, const at::Tensor& value) {
        const auto flat = value.contiguous();
        const auto* data = flat.const_data_ptr<float>();
        values[parameter.name] = {data, data + flat.numel()};
      },
      content);
  return values;
}

std::string first_difference(const Values& a, const Values& b, const std::string& what) {
  if (a.size() != b.size()) return what + ": other names";
  for (const auto& [name, values] : a) {
    const auto& others = b.at(name);
    if (values.size() != others.size()) return fmt::format("{} {}: {} and {} values", what, name, values.size(), others.size());
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::memcmp(&values[i], &others[i], sizeof(float)) != 0) {
        return fmt::format("{} {}[{}]: {} and {}", what, name, i, values[i], others[i]);
      }
    }
  }
  return {};
}

void run_rank(const TrainingCase& test, Communicator& inner, const Model& model, TrainingResult& result) {
  set_compute_threads(test.threads);
  const auto wrapped = test.wrap_communicator ? test.wrap_communicator(inner) : nullptr;
  Communicator& communicator = wrapped ? *wrapped : inner;
  const auto plain_optimizer = optimizer_of(test);
  const auto wrapped_optimizer = test.wrap_optimizer ? test.wrap_optimizer(*plain_optimizer) : nullptr;
  const CountedBatches counted(vocabulary_of(test), test.seq_len, test.global_batch_size, test.validation_windows);
  const auto wrapped_batches = test.wrap_batches ? test.wrap_batches(counted, inner.rank()) : nullptr;
  const BatchSource& batches = wrapped_batches ? *wrapped_batches : static_cast<const BatchSource&>(counted);

  MemoryLedger ledger(test.device.is_cuda() ? Side::gpu : Side::host);
  EngineOptions options;
  options.device = test.device;
  options.sharding = Sharding::of_stage(test.stage, test.micro_batches, test.strict);
  options.micro_batches = test.micro_batches;
  options.precision = test.precision;
  options.loss_scaling = test.loss_scaling;
  options.recompute = test.recompute;
  options.prefetch = test.prefetch;
  options.max_norm = test.max_norm;
  options.check_finite = test.check_finite;
  options.offload = test.offload;
  Engine engine(model, communicator, wrapped_optimizer ? *wrapped_optimizer : *plain_optimizer, ledger, options);
  const int64_t own = test.global_batch_size / test.ranks / test.micro_batches;
  TrainingResult mine;
  for (int64_t step = 0; step < test.steps; ++step) {
    const MemoryScope scope(ledger, batch_category(ledger));
    const auto step_result = engine.train_step(micro_batches(batches, step, test.micro_batches, own, inner.rank(), test.ranks), test.lr);
    mine.losses.push_back(step_result.loss);
    mine.norms.push_back(step_result.gradient_norm);
    mine.skipped.push_back(step_result.skipped);
    if (step >= test.gradients_from) mine.gradients.push_back(read(engine, ParamGroup::Content::gradients));
  }
  mine.weights = read(engine, ParamGroup::Content::parameters);
  mine.validation_loss = evaluate_split(engine, communicator, batches, own, 0, ledger);
  if (inner.rank() == 0) result = std::move(mine);
}

Model wrapped(const Model& inner, const TrainingCase& test) {
  std::vector<std::shared_ptr<const Unit>> units;
  for (int u = 0; u < inner.unit_count(); ++u) units.push_back(test.wrap_unit(inner.unit(u)));
  return Model(std::move(units));
}

}  // namespace

Batch CountedBatches::make(int64_t first, int64_t count) const {
  Batch batch{at::empty({count, seq_len_}, at::kLong), at::empty({count, seq_len_}, at::kLong), first};
  auto* tokens = batch.tokens.data_ptr<int64_t>();
  auto* targets = batch.targets.data_ptr<int64_t>();
  for (int64_t i = 0; i < count * seq_len_; ++i) {
    const auto sample = static_cast<uint32_t>(first + i / seq_len_), place = static_cast<uint32_t>(i % seq_len_);
    const auto words = philox4x32_10({sample, place, 0, 0}, {7, 7});
    tokens[i] = words[0] % vocabulary_;
    targets[i] = place < sample % 7 ? kIgnoredTarget : words[1] % vocabulary_;
  }
  return batch;
}

Batch CountedBatches::validation(int64_t first, int64_t count) const {
  auto batch = make(first, count);
  const int64_t left = std::clamp<int64_t>(validation_windows_ - first, 0, count);
  batch.targets.narrow(0, left, count - left).fill_(kIgnoredTarget);
  return batch;
}

Model model_of(const TrainingCase& test) {
  return (test.llama ? make_llama(*test.llama) : make_gpt2(test.config)).with_frozen(test.frozen);
}

int64_t vocabulary_of(const TrainingCase& test) { return test.llama ? test.llama->vocab_size : test.config.vocab_size; }

std::unique_ptr<Optimizer> optimizer_of(const TrainingCase& test) {
  if (test.sgd) return make_sgd({.momentum = 0.9, .weight_decay = 0.1});
  return make_adamw({.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1});
}

TrainingResult train(const TrainingCase& test) {
  const Model inner = model_of(test), model = test.wrap_unit ? wrapped(inner, test) : inner;
  TrainingResult result;
  const auto run = test.on_one_host ? test::run_ranks_on_host : run_ranks;
  run(test.ranks, [&](Communicator& communicator) { run_rank(test, communicator, model, result); });
  return result;
}

std::string first_difference(const TrainingResult& a, const TrainingResult& b) {
  if (a.losses.size() != b.losses.size() || a.losses.empty()) return fmt::format("{} and {} steps", a.losses.size(), b.losses.size());
  for (size_t i = 0; i < a.losses.size(); ++i) {
    if (a.losses[i] != b.losses[i]) return fmt::format("loss of step {}: {} and {}", i, a.losses[i], b.losses[i]);
    if (a.norms[i] != b.norms[i]) return fmt::format("norm of step {}: {} and {}", i, a.norms[i], b.norms[i]);
  }
  if (a.validation_loss != b.validation_loss) return fmt::format("validation loss: {} and {}", a.validation_loss, b.validation_loss);
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    const auto difference = first_difference(a.gradients[i], b.gradients[i], fmt::format("step {}: gradient", i));
    if (!difference.empty()) return difference;
  }
  return first_difference(a.weights, b.weights, "weight");
}

double relative_l2(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / std::max(norm, 1e-30));
}

}  // namespace zerorun::testing
