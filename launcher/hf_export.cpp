#include "launcher/hf_export.h"

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>

#include "core/error.h"
#include "core/weights/safetensors_writer.h"

namespace zerorun {
namespace {

void create_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorKind::cannot_create, "cannot create {}: {}", folder, error.message());
}

std::vector<TensorDeclaration> declarations_of(const Model& model) {
  std::vector<TensorDeclaration> declarations;
  for (const auto& group : model.groups()) {
    for (const auto& parameter : group.parameters) declarations.push_back({parameter.name, Dtype::f32, parameter.shape});
  }
  return declarations;
}

}  // namespace

void export_hf(Engine& engine, const Model& model, const ModelConfig& config, const std::string& folder, bool writes) {
  std::optional<SafetensorsWriter> writer;
  if (writes) {
    create_folder(folder);
    writer.emplace(folder + "/model.safetensors", declarations_of(model));
  }
  engine.for_each_parameter([&](const Parameter&, const at::Tensor& value) {
    if (writer) writer->write(value.const_data_ptr<float>(), value.numel() * static_cast<int64_t>(sizeof(float)));
  });
  if (!writer) return;
  writer->finish();
  write_whole(folder + "/config.json", hf_config_json(config));
}

}  // namespace zerorun
