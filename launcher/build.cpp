#include "launcher/build.h"

#include <algorithm>

#include "core/error.h"
#include "core/models/gpt2.h"
#include "core/models/presets.h"
#include "launcher/machine.h"
#include "launcher/nearest_name.h"

namespace zerorun {
namespace {

Gpt2Config preset_of(const Settings::Model& model) {
  if (!model.preset) return {};
  if (const auto config = find_gpt2_preset(*model.preset)) return *config;
  const auto names = gpt2_preset_names();
  fail(ErrorKind::configuration, "unknown model.preset {}{}; known: {}", *model.preset, did_you_mean(*model.preset, names),
       fmt::join(names, ", "));
}

template <typename Value>
void override_with(const std::optional<Value>& value, Value& field) {
  if (value) field = *value;
}

Gpt2Config gpt2_config(const Settings::Model& model) {
  Gpt2Config config = preset_of(model);
  override_with(model.vocab_size, config.vocab_size);
  override_with(model.hidden_size, config.hidden_size);
  override_with(model.num_hidden_layers, config.num_hidden_layers);
  override_with(model.num_attention_heads, config.num_attention_heads);
  override_with(model.intermediate_size, config.intermediate_size);
  override_with(model.max_position_embeddings, config.max_position_embeddings);
  override_with(model.tie_word_embeddings, config.tie_word_embeddings);
  override_with(model.layer_norm_eps, config.layer_norm_eps);
  return config;
}

CorpusOptions corpus_options(const Settings::Data& data) {
  CorpusOptions options;
  options.train = data.train;
  if (const auto* path = std::get_if<std::string>(&data.validation)) options.validation = {*path};
  if (const auto* fraction = std::get_if<double>(&data.validation)) options.validation_fraction = *fraction;
  switch (data.format) {
    case Settings::Format::automatic: options.format = Format::automatic; break;
    case Settings::Format::bytes: options.format = Format::bytes; break;
    case Settings::Format::tokens_uint16: options.format = Format::tokens_uint16; break;
  }
  return options;
}

}  // namespace

Model make_model(const Settings& settings) {
  const auto config = gpt2_config(settings.model);
  if (settings.training.seq_len > config.max_position_embeddings) {
    fail(ErrorKind::configuration, "training.seq_len {} exceeds model.max_position_embeddings {}", settings.training.seq_len,
         config.max_position_embeddings);
  }
  return make_gpt2(config);
}

int64_t vocabulary_of(const Settings& settings) { return gpt2_config(settings.model).vocab_size; }

std::unique_ptr<Optimizer> make_optimizer(const Settings::Optimizer& settings) {
  if (settings.name == Settings::OptimizerName::sgd) return make_sgd({.momentum = settings.momentum, .weight_decay = settings.weight_decay});
  return make_adamw({.beta1 = settings.betas[0], .beta2 = settings.betas[1], .eps = settings.eps, .weight_decay = settings.weight_decay});
}

EngineOptions engine_options(const Settings& settings, int ranks) {
  EngineOptions options;
  options.prefetch = static_cast<int>(settings.zero_optimization.prefetch);
  options.micro_batches = micro_batches_of(settings, ranks);
  options.sharding = Sharding::of_stage(static_cast<int>(settings.zero_optimization.stage), options.micro_batches,
                                        settings.run.determinism == Settings::Determinism::strict);
  options.max_norm = settings.training.max_norm;
  options.seed = static_cast<uint64_t>(settings.run.seed);
  return options;
}

CorpusBatches open_data(const Settings& settings) {
  auto split = open_split(corpus_options(settings.data));
  for (const auto* range : {&split.train, &split.validation}) {
    if (range->corpus) range->corpus->check_vocabulary(vocabulary_of(settings));
  }
  return CorpusBatches(std::move(split), {.seed = static_cast<uint64_t>(settings.run.seed),
                                          .seq_len = settings.training.seq_len,
                                          .global_batch_size = settings.training.global_batch_size});
}

int threads_of(const Settings& settings, int local_ranks) {
  return static_cast<int>(settings.run.threads.value_or(std::max(1, usable_cores() / local_ranks)));
}

}  // namespace zerorun
