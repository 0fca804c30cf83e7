#include "core/weights/weight_files.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/weights/json_file.h"

namespace zerorun {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kSingle = "/model.safetensors";
constexpr const char* kIndex = "/model.safetensors.index.json";

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

[[noreturn]] void fail_without_weights(const std::string& folder) {
  const bool pickled = exists(folder + "/pytorch_model.bin") || exists(folder + "/pytorch_model.bin.index.json");
  fail(ErrorKind::missing_input, "{} has neither model.safetensors nor model.safetensors.index.json{}", folder,
       pickled ? "; pytorch_model.bin is not read: save the model as safetensors" : "");
}

void check_file_name(const std::string& name, const std::string& folder, const std::string& index) {
  const bool plain = !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
  if (!plain) fail(ErrorKind::bad_data, "{}: {} is no plain name of a file in its folder", index, Json(name).dump(-1, ' ', true));
  std::error_code missing;
  const auto real = fs::canonical(folder + "/" + name, missing);
  if (missing) fail(ErrorKind::missing_input, "{} names {}: {}", index, shown(name), missing.message());
  if (real.parent_path() != fs::canonical(folder)) {
    fail(ErrorKind::bad_data, "{}: {} is a link that leads out of its folder, to {}; copy the file there", index, shown(name), real.string());
  }
}

// Tensor -> file.
std::map<std::string, std::string> read_index(const std::string& index) {
  const Json json = read_json_file(index);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object()) fail(ErrorKind::bad_data, "{} has no weight_map, expected an object of tensors and their files", index);
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) fail(ErrorKind::bad_data, "{}: the file of {} is {}, expected a text", index, shown(tensor), file.type_name());
    file_of[tensor] = file.get<std::string>();
  }
  if (file_of.empty()) fail(ErrorKind::bad_data, "{} has an empty weight_map", index);
  return file_of;
}

}  // namespace

WeightFiles::WeightFiles(const std::string& folder) {
  if (exists(folder + kSingle)) {
    files_.push_back(std::make_unique<SafetensorsFile>(folder + kSingle));
    add(*files_.back());
  } else if (exists(folder + kIndex)) {
    open_shards(folder, folder + kIndex);
  } else {
    fail_without_weights(folder);
  }
}

void WeightFiles::open_shards(const std::string& folder, const std::string& index) {
  const auto file_of = read_index(index);
  std::map<std::string, const SafetensorsFile*> opened;
  for (const auto& [tensor, name] : file_of) {
    if (opened.contains(name)) continue;
    check_file_name(name, folder, index);
    files_.push_back(std::make_unique<SafetensorsFile>(folder + "/" + name));
    opened[name] = files_.back().get();
  }
  for (const auto& [name, file] : opened) {
    for (const auto& [tensor, stored] : file->tensors()) {
      const auto found = file_of.find(tensor);
      if (found == file_of.end()) fail(ErrorKind::bad_data, "{} has tensor {}, which {} does not name", file->path(), shown(tensor), index);
      if (found->second != name) {
        fail(ErrorKind::bad_data, "{} has tensor {}, which is in {} according to {}", file->path(), shown(tensor), shown(found->second), index);
      }
    }
    add(*file);
  }
  for (const auto& [tensor, name] : file_of) {
    if (!entries_.contains(tensor)) fail(ErrorKind::bad_data, "{} has no tensor {}, which is there according to {}", opened[name]->path(), shown(tensor), index);
  }
}

void WeightFiles::add(const SafetensorsFile& file) {
  for (const auto& [name, tensor] : file.tensors()) entries_[name] = {&file, &tensor};
}

}  // namespace zerorun
