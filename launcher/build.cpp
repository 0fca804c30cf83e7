#include "launcher/build.h"

#include <algorithm>

#include "core/architectures/catalogue.h"
#include "core/error.h"
#include "core/models/llama_presets.h"
#include "core/models/presets.h"
#include "core/nearest_name.h"
#include "launcher/machine.h"

namespace zerorun {
namespace {

template <typename Config>
Config preset_of(const Settings::Model& model, std::optional<Config> (*find)(std::string_view), const std::vector<std::string>& names) {
  if (!model.preset) return {};
  if (const auto config = find(*model.preset)) return *config;
  if (is_for_estimates_only(*model.preset)) {
    fail(ErrorKind::configuration, "model.preset {}: zerorun can estimate this model (zerorun estimate --model {}), but not train it", *model.preset, *model.preset);
  }
  fail(ErrorKind::configuration, "unknown model.preset {}{}; known: {}", *model.preset, did_you_mean(*model.preset, names),
       fmt::join(names, ", "));
}

template <typename Value>
void override_with(const std::optional<Value>& value, Value& field) {
  if (value) field = *value;
}

template <typename Config>
void override_common(const Settings::Model& model, Config& config) {
  override_with(model.vocab_size, config.vocab_size);
  override_with(model.hidden_size, config.hidden_size);
  override_with(model.num_hidden_layers, config.num_hidden_layers);
  override_with(model.num_attention_heads, config.num_attention_heads);
  override_with(model.intermediate_size, config.intermediate_size);
  override_with(model.max_position_embeddings, config.max_position_embeddings);
  override_with(model.tie_word_embeddings, config.tie_word_embeddings);
}

Gpt2Config gpt2_config(const Settings::Model& model) {
  auto config = preset_of<Gpt2Config>(model, find_gpt2_preset, gpt2_preset_names());
  override_common(model, config);
  override_with(model.dropout, config.dropout);
  override_with(model.layer_norm_eps, config.layer_norm_eps);
  return config;
}

LlamaConfig llama_config(const Settings::Model& model) {
  auto config = preset_of<LlamaConfig>(model, find_llama_preset, llama_preset_names());
  override_common(model, config);
  override_with(model.num_key_value_heads, config.num_key_value_heads);
  override_with(model.head_dim, config.head_dim);
  override_with(model.rms_norm_eps, config.rms_norm_eps);
  override_with(model.rope_theta, config.rope_theta);
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

LossScaling loss_scaling(const Settings::Precision& precision) {
  if (precision.param_dtype != Settings::ParamDtype::fp16) return {};
  const auto& fp16 = precision.fp16;
  return {fp16.loss_scale, static_cast<int>(fp16.initial_scale_power), fp16.loss_scale_window, fp16.hysteresis, fp16.min_loss_scale};
}

SleepingPlace place_of(Settings::OffloadDevice where, const std::optional<std::string>& path, bool overlaps = true) {
  using Device = SleepingPlace::Device;
  const Device devices[] = {Device::none, Device::host, Device::disk};
  const Device device = devices[static_cast<int>(where)];
  return {device, device == Device::disk ? path.value_or("") : "", overlaps};
}

}  // namespace

ModelConfig model_config(const Settings& settings) {
  if (settings.model.family == Settings::Family::llama) return llama_config(settings.model);
  return gpt2_config(settings.model);
}

Model make_model(const Settings& settings) {
  const auto config = model_config(settings);
  const int64_t positions = std::visit([](const auto& model) { return model.max_position_embeddings; }, config);
  if (settings.training.seq_len > positions) {
    fail(ErrorKind::configuration, "training.seq_len {} exceeds model.max_position_embeddings {}", settings.training.seq_len, positions);
  }
  return make_model(config).with_frozen(settings.model.frozen);
}

int64_t vocabulary_of(const Settings& settings) {
  return std::visit([](const auto& model) { return model.vocab_size; }, model_config(settings));
}

std::unique_ptr<Optimizer> make_optimizer(const Settings::Optimizer& settings) {
  if (settings.name == Settings::OptimizerName::sgd) return make_sgd({.momentum = settings.momentum, .weight_decay = settings.weight_decay});
  return make_adamw({.beta1 = settings.betas[0], .beta2 = settings.betas[1], .eps = settings.eps, .weight_decay = settings.weight_decay});
}

at::ScalarType dtype_of(Settings::ParamDtype dtype) {
  switch (dtype) {
    case Settings::ParamDtype::fp32: return at::kFloat;
    case Settings::ParamDtype::bf16: return at::kBFloat16;
    case Settings::ParamDtype::fp16: return at::kHalf;
  }
  fail(ErrorKind::bug, "param_dtype {}", static_cast<int>(dtype));
}

OffloadOptions offload_options(const Settings::ZeroOptimization& settings) {
  OffloadOptions options;
  const auto& [param, optimizer] = std::tie(settings.offload_param, settings.offload_optimizer);
  options.parameters = place_of(param.device, param.path, param.overlap);
  options.optimizer = place_of(optimizer.device, optimizer.path, optimizer.overlap);
  options.buffer_count = static_cast<int>(settings.offload_param.buffer_count);
  options.ratio = settings.offload_optimizer.ratio;
  options.verify_disk = settings.verify_extents;
  return options;
}

EngineOptions engine_options(const Settings& settings, int ranks) {
  EngineOptions options;
  options.prefetch = static_cast<int>(settings.zero_optimization.prefetch);
  options.micro_batches = micro_batches_of(settings, ranks);
  options.sharding = Sharding::of_stage(static_cast<int>(settings.zero_optimization.stage), options.micro_batches,
                                        settings.run.determinism == Settings::Determinism::strict);
  options.precision.parameters = dtype_of(settings.precision.param_dtype);
  options.precision.gradients = settings.precision.reduce_dtype == Settings::ReduceDtype::bf16 ? at::kBFloat16 : at::kFloat;
  options.precision.stochastic_rounding = settings.optimizer.stochastic_rounding;
  options.loss_scaling = loss_scaling(settings.precision);
  options.recompute = settings.activation_checkpoint.mode == Settings::Checkpointing::full;
  options.offload = offload_options(settings.zero_optimization);
  const auto& [param, optimizer] = std::tie(settings.zero_optimization.offload_param, settings.zero_optimization.offload_optimizer);
  const bool overlap = options.offload.optimizer.sleeps() && !options.offload.parameters.sleeps() ? optimizer.overlap : param.overlap;
  options.offload.activations = place_of(settings.activation_checkpoint.offload, settings.activation_checkpoint.path, overlap);
  options.max_norm = settings.training.max_norm;
  options.check_finite = settings.training.check_finite;
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
