#include "core/weights/hf_folder.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>

#include "core/error.h"
#include "core/nearest_name.h"

namespace zerorun {
namespace {

constexpr const char* kHead = "lm_head.weight";

bool is_llama(const ModelConfig& config) { return std::holds_alternative<LlamaConfig>(config); }

int64_t layers_of(const ModelConfig& config) {
  return std::visit([](const auto& model) { return model.num_hidden_layers; }, config);
}

std::vector<Parameter> parameters_of(const Model& model) {
  std::vector<Parameter> parameters;
  for (const auto& group : model.groups()) parameters.insert(parameters.end(), group.parameters.begin(), group.parameters.end());
  return parameters;
}

// "transformer.h.3.attn.bias" with this front and back: 3. Nothing where the middle is no number.
std::optional<int64_t> layer_between(std::string_view name, std::string_view front, std::string_view back) {
  if (!name.starts_with(front) || !name.ends_with(back) || name.size() <= front.size() + back.size()) return std::nullopt;
  const auto middle = name.substr(front.size(), name.size() - front.size() - back.size());
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(middle.data(), middle.data() + middle.size(), layer);
  if (error != std::errc() || end != middle.data() + middle.size()) return std::nullopt;
  return layer;
}

bool is_float(Dtype dtype) { return dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16; }

}  // namespace

HfFolder::HfFolder(const std::string& path) : path_(path), config_(read_hf_config(path)), files_(path) { check(make_model(config_.model)); }

std::string HfFolder::in_full(const std::string& stored) const {
  const std::string prefix = is_llama(config_.model) ? "model." : "transformer.";
  return stored == kHead || stored.starts_with(prefix) ? stored : prefix + stored;
}

bool HfFolder::is_old_buffer(const std::string& name) const {
  std::optional<int64_t> layer;
  if (is_llama(config_.model)) {
    layer = layer_between(name, "model.layers.", ".self_attn.rotary_emb.inv_freq");
  } else {
    layer = layer_between(name, "transformer.h.", ".attn.bias");
    if (!layer) layer = layer_between(name, "transformer.h.", ".attn.masked_bias");
  }
  return layer && *layer >= 0 && *layer < layers_of(config_.model);
}

void HfFolder::fail_with_unexpected(const std::string& stored, const std::string& name, const Model& model) const {
  std::vector<std::string> missing;
  for (const auto& parameter : parameters_of(model)) {
    if (!sources_.contains(parameter.name)) missing.push_back(parameter.name);
  }
  fail(ErrorKind::bad_data, "{} has an unexpected tensor {}{}: the model of its config.json has none of this name", path_, shown(stored),
       did_you_mean(name, missing));
}

void HfFolder::check(const Model& model) {
  const auto parameters = parameters_of(model);
  std::map<std::string, const Parameter*> wanted;
  for (const auto& parameter : parameters) wanted[parameter.name] = &parameter;

  std::vector<std::pair<std::string, std::string>> unexpected;  // as stored, in full
  std::optional<Source> tied_head;
  for (const auto& [stored, entry] : files_.entries()) {
    const auto name = in_full(stored);
    const Source source{entry.file, stored};
    const auto parameter = wanted.find(name);
    if (parameter == wanted.end()) {
      if (name == kHead) tied_head = source;
      else if (!is_old_buffer(name)) unexpected.emplace_back(stored, name);
      continue;
    }
    const auto [other, fresh] = sources_.emplace(name, source);
    if (!fresh) fail(ErrorKind::bad_data, "{} has {} twice: as {} and as {}", path_, name, other->second.name, stored);
    if (entry.tensor->shape != parameter->second->shape) {
      fail(ErrorKind::bad_data, "{}: {} has shape {}, but config.json makes it {}", entry.file->path(), stored, shape_text(entry.tensor->shape),
           shape_text(parameter->second->shape));
    }
    if (!is_float(entry.tensor->dtype)) {
      fail(ErrorKind::bad_data, "{}: {} is of {}, expected F32, F16 or BF16", entry.file->path(), stored, name_of(entry.tensor->dtype));
    }
  }
  if (!unexpected.empty()) fail_with_unexpected(unexpected.front().first, unexpected.front().second, model);
  for (const auto& parameter : parameters) {
    if (sources_.contains(parameter.name)) continue;
    fail(ErrorKind::bad_data, "{} has no tensor {} of shape {}{}", path_, parameter.name, shape_text(parameter.shape),
         parameter.name == kHead ? ", and tie_word_embeddings in its config.json is false" : ", which the model of its config.json needs");
  }
  if (tied_head) check_tied_head(*tied_head);
}

void HfFolder::check_tied_head(const Source& head) const {
  const Source& embedding = sources_.at(is_llama(config_.model) ? "model.embed_tokens.weight" : "transformer.wte.weight");
  const auto& ours = head.file->tensors().at(head.name);
  const auto& shared = embedding.file->tensors().at(embedding.name);
  bool equal = ours.shape == shared.shape && is_float(ours.dtype);
  constexpr int64_t kChunk = 1 << 16;  // elements
  std::vector<float> a(kChunk), b(kChunk);
  for (int64_t first = 0; equal && first < shared.count(); first += kChunk) {
    const int64_t count = std::min(kChunk, shared.count() - first);
    head.file->read(head.name, first, count, a.data());
    embedding.file->read(embedding.name, first, count, b.data());
    equal = std::memcmp(a.data(), b.data(), static_cast<size_t>(count) * sizeof(float)) == 0;
  }
  if (!equal) {
    fail(ErrorKind::bad_data, "{}: {} differs from {}, but tie_word_embeddings in config.json is true: set it to false, or remove the tensor",
         head.file->path(), head.name, embedding.name);
  }
}

void HfFolder::fill(const Parameter& parameter, int64_t first, int64_t count, float* out) const {
  const auto found = sources_.find(parameter.name);
  ZR_CHECK(found != sources_.end(), "{} has no parameter {}", path_, parameter.name);
  const auto& [file, name] = found->second;
  const auto& shape = file->tensors().at(name).shape;
  ZR_CHECK(shape == parameter.shape, "{} has {} in shape {}, asked for as {}", path_, parameter.name, shape_text(shape), shape_text(parameter.shape));
  file->read(name, first, count, out);
}

}  // namespace zerorun
