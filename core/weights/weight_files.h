// The safetensors files of a Hugging Face folder as one: model.safetensors, or the shards that an index names.
// Private to core/weights.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/weights/safetensors.h"

namespace zerorun {

class WeightFiles {
 public:
  // An index is believed only as far as the files agree: its names are plain names of files in the folder, which no link
  // leads out of; every tensor is in the file that the index gives, in no other, and none is left out.
  // Throws Error(missing_input) where there are no such weights or a shard is not there, Error(bad_data) else.
  explicit WeightFiles(const std::string& folder);

  // Where a tensor is, by its name in the files.
  struct Entry {
    const SafetensorsFile* file;
    const StoredTensor* tensor;
  };
  const std::map<std::string, Entry>& entries() const { return entries_; }

 private:
  void open_shards(const std::string& folder, const std::string& index);
  void add(const SafetensorsFile& file);

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Entry> entries_;
};

}  // namespace zerorun
