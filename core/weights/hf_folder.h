// A Hugging Face folder with the weights of a GPT-2 or a LLaMA: config.json, and model.safetensors or its shards.
//
// What the files hold is held against what the model of config.json needs before anything is read: names (with the prefix
// of the language model, or without, as saved from the bare model), shapes, types. Old files carry buffers that are no
// weights; these are skipped. A tied model has no lm_head.weight, or one that is equal to the embedding.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/weights/hf_config.h"
#include "core/weights/parameter_source.h"
#include "core/weights/weight_files.h"

namespace zerorun {

class HfFolder final : public ParameterSource {
 public:
  // Opens and checks everything; reads headers, and a tied head where there is one. Throws what read_hf_config and
  // SafetensorsFile throw, and Error(bad_data) for weights that do not fit the model: missing, unexpected, of another shape
  // or of a type that is not a float's.
  explicit HfFolder(const std::string& path);

  const ModelConfig& config() const { return config_.model; }
  const std::vector<std::string>& warnings() const { return config_.warnings; }

  // Reads these elements only.
  void fill(const Parameter& parameter, int64_t first, int64_t count, float* out) const override;

 private:
  struct Source {
    const SafetensorsFile* file;
    std::string name;  // in the file
  };

  std::string in_full(const std::string& stored) const;
  bool is_old_buffer(const std::string& name) const;
  void check(const Model& model);
  void check_tied_head(const Source& head) const;
  [[noreturn]] void fail_with_unexpected(const std::string& stored, const std::string& name, const Model& model) const;

  std::string path_;
  HfConfig config_;
  WeightFiles files_;
  std::map<std::string, Source> sources_;  // by name of the parameter
};

}  // namespace zerorun
