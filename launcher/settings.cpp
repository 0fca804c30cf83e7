#include "launcher/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "core/error.h"
#include "core/random.h"
#include "launcher/settings_schema.h"

namespace zerorun {
namespace {

auto values_of(const Settings& s) {
  return std::tie(s.run, s.model, s.data, s.training, s.precision, s.optimizer, s.lr_scheduler, s.activation_checkpoint, s.zero_optimization,
                  s.comm, s.metrics, s.memory);
}

std::string origin_of(const Settings& settings, const std::string& key) {
  const auto found = settings.origins.find(key);
  return found == settings.origins.end() ? "default" : found->second;
}

// Fields that the family does not have.
void check_family(const Settings::Model& model, std::vector<Contradiction>& found) {
  const bool llama = model.family == Settings::Family::llama;
  const std::tuple<const char*, bool, bool> fields[] = {{"num_key_value_heads", model.num_key_value_heads.has_value(), true},
                                                        {"head_dim", model.head_dim.has_value(), true},
                                                        {"rms_norm_eps", model.rms_norm_eps.has_value(), true},
                                                        {"rope_theta", model.rope_theta.has_value(), true},
                                                        {"dropout", model.dropout.has_value(), false},
                                                        {"layer_norm_eps", model.layer_norm_eps.has_value(), false}};
  for (const auto& [name, given, of_llama] : fields) {
    if (!given || of_llama == llama) continue;
    const std::string key = fmt::format("model.{}", name);
    found.push_back({{key, "model.family"}, fmt::format("{} is a key of {}, but model.family is {}", key, of_llama ? "llama" : "gpt2",
                                                        llama ? "llama" : "gpt2")});
  }
}

void check_model(const Settings& settings, std::vector<Contradiction>& found) {
  const Settings::Model& model = settings.model;
  if (!model.hf_path) check_family(model, found);
  if (model.hf_path && model.preset) {
    found.push_back({{"model.preset", "model.hf_path"}, "model.preset and model.hf_path both say which model it is: set one of them to null"});
  }
  const std::pair<const char*, bool> needed[] = {{"vocab_size", model.vocab_size.has_value()},
                                                 {"hidden_size", model.hidden_size.has_value()},
                                                 {"num_hidden_layers", model.num_hidden_layers.has_value()},
                                                 {"num_attention_heads", model.num_attention_heads.has_value()},
                                                 {"intermediate_size", model.intermediate_size || model.family == Settings::Family::gpt2},
                                                 {"max_position_embeddings", model.max_position_embeddings.has_value()}};
  for (const auto& [name, given] : needed) {
    if (model.preset || model.hf_path || given) continue;
    const std::string key = fmt::format("model.{}", name);
    found.push_back({{key, "model.preset"}, fmt::format("missing key {}: set it, or name a model.preset", key)});
  }
  if (!model.head_dim && model.hidden_size && model.num_attention_heads && *model.hidden_size % *model.num_attention_heads != 0) {
    found.push_back({{"model.hidden_size", "model.num_attention_heads"},
                     fmt::format("model.hidden_size is {}, expected a multiple of model.num_attention_heads, which is {}",
                                 *model.hidden_size, *model.num_attention_heads)});
  }
  if (model.max_position_embeddings && settings.training.seq_len > *model.max_position_embeddings) {
    found.push_back({{"training.seq_len", "model.max_position_embeddings"},
                     fmt::format("training.seq_len is {}, expected at most model.max_position_embeddings, which is {}",
                                 settings.training.seq_len, *model.max_position_embeddings)});
  }
}

void check_schedule(const Settings& settings, std::vector<Contradiction>& found) {
  if (settings.lr_scheduler.warmup_steps > settings.training.steps) {
    found.push_back({{"lr_scheduler.warmup_steps", "training.steps"},
                     fmt::format("lr_scheduler.warmup_steps is {}, expected at most training.steps, which is {}",
                                 settings.lr_scheduler.warmup_steps, settings.training.steps)});
  }
  const bool has_validation = !std::holds_alternative<std::monostate>(settings.data.validation);
  if (settings.training.eval_interval > 0 && !has_validation) {
    found.push_back({{"training.eval_interval", "data.validation"},
                     fmt::format("training.eval_interval is {}, but data.validation is null: "
                                 "set it to a path or a fraction, or the interval to 0",
                                 settings.training.eval_interval)});
  }
}

void check_rounding(const Settings& settings, std::vector<Contradiction>& found) {
  if (!settings.optimizer.stochastic_rounding || settings.precision.param_dtype == Settings::ParamDtype::bf16) return;
  found.push_back({{"optimizer.stochastic_rounding", "precision.param_dtype"},
                   fmt::format("optimizer.stochastic_rounding rounds parameters to bf16, but precision.param_dtype is {}: set it to bf16, or the rounding to false",
                               settings.precision.param_dtype == Settings::ParamDtype::fp16 ? "fp16" : "fp32")});
}

void check_offload(const Settings& settings, std::vector<Contradiction>& found) {
  using Device = Settings::OffloadDevice;
  const auto& [zero, checkpoint] = std::tie(settings.zero_optimization, settings.activation_checkpoint);
  const auto& [param, optimizer] = std::tie(zero.offload_param, zero.offload_optimizer);
  const std::string section = "zero_optimization.";
  if (param.device != Device::none && zero.stage < 3) {
    found.push_back({{section + "offload_param.device", section + "stage"},
                     fmt::format("zero_optimization.offload_param needs zero_optimization.stage 3, which is {}: at lower stages all parameters are used where "
                                 "they are; set the stage to 3, or offload the optimizer only",
                                 zero.stage)});
  }
  const auto check_path = [&](const std::string& key, const std::string& device_key, Device device, const std::optional<std::string>& path) {
    if (device == Device::nvme && !path) found.push_back({{key, device_key}, fmt::format("missing key {}: a folder on the disk to offload to", key)});
  };
  check_path(section + "offload_param.path", section + "offload_param.device", param.device, param.path);
  check_path(section + "offload_optimizer.path", section + "offload_optimizer.device", optimizer.device, optimizer.path);
  check_path("activation_checkpoint.path", "activation_checkpoint.offload", checkpoint.offload, checkpoint.path);
  if (checkpoint.offload != Device::none && checkpoint.mode == Settings::Checkpointing::none) {
    found.push_back({{"activation_checkpoint.offload", "activation_checkpoint.mode"},
                     "activation_checkpoint.offload needs activation_checkpoint.mode full, which is none: what blocks read sleeps, and the rest of their "
                     "activations is computed again"});
  }
  if (param.device == Device::nvme && optimizer.device == Device::nvme && param.path && optimizer.path && param.path != optimizer.path) {
    found.push_back({{section + "offload_optimizer.path", section + "offload_param.path"},
                     fmt::format("zero_optimization.offload_optimizer.path is {}, expected zero_optimization.offload_param.path, which is {}: what sleeps on disk "
                                 "sleeps in one folder",
                                 *optimizer.path, *param.path)});
  }
}

// "set global_batch_size to 10, micro_batch_size to 6 or run 3 ranks"
std::string ways_out(int64_t global, int64_t micro, int64_t ranks) {
  const int64_t accumulation = (global + micro * ranks / 2) / (micro * ranks);
  std::vector<std::string> ways{fmt::format("set global_batch_size to {}", std::max<int64_t>(accumulation, 1) * micro * ranks)};
  if (global % ranks == 0) ways.push_back(fmt::format("micro_batch_size to {}", global / ranks));
  if (global % micro == 0) ways.push_back(fmt::format("the number of ranks to {}", global / micro));
  return fmt::format("{}", fmt::join(ways, ", or "));
}

}  // namespace

const char* name_of(Settings::ParamDtype dtype) {
  constexpr std::array kNames{"fp32", "bf16", "fp16"};
  return kNames[static_cast<size_t>(dtype)];
}

bool Settings::operator==(const Settings& other) const { return values_of(*this) == values_of(other); }

std::vector<Contradiction> validate(const Settings& settings) {
  std::vector<Contradiction> found;
  check_model(settings, found);
  check_schedule(settings, found);
  check_rounding(settings, found);
  check_offload(settings, found);
  return found;
}

int micro_batches_of(const Settings& settings, int ranks) {
  ZR_CHECK(ranks >= 1, "the world has {} ranks, expected at least 1", ranks);
  const int64_t global = settings.training.global_batch_size;
  const int64_t micro = settings.training.micro_batch_size;
  if (global % (micro * ranks) == 0) return static_cast<int>(global / (micro * ranks));
  const std::string origin = origin_of(settings, "training.global_batch_size");
  fail(ErrorKind::configuration, "{}: training.global_batch_size is {}, no multiple of micro_batch_size {} x {} rank{} = {}: {}", origin,
       global, micro, ranks, ranks == 1 ? "" : "s", micro * ranks, ways_out(global, micro, ranks));
}

std::string resolved_yaml(const Settings& settings, const std::string& header) {
  std::string text = fmt::format("# {}\n", header);
  std::string section;
  for (const Field& field : settings_schema()) {
    const std::string indent(2 * (1 + std::count(field.section.begin(), field.section.end(), '.')), ' ');
    if (field.section != section) {
      section = field.section;
      text += fmt::format("{}{}:\n", indent.substr(2), section.substr(section.rfind('.') + 1));
    }
    const std::string line = fmt::format("{}{}: {}", indent, field.name, field.write(settings));
    text += fmt::format("{:<44}  # {}\n", line, origin_of(settings, field.key()));
  }
  return text;
}

uint64_t fingerprint(const Settings& settings) {
  std::string text;
  for (const Field& field : settings_schema()) text += fmt::format("{}={}\n", field.key(), field.write(settings));
  return stream_of(text);
}

}  // namespace zerorun
