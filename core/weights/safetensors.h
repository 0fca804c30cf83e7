// A safetensors file, open for reading: what it holds, and ranges of its elements as fp32.
//
// The header is checked whole before the constructor returns (safetensors_header.h). Tensors are read with pread: a file
// that is cut short while it is open gives an error, and what is read does not count as the process's memory.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "core/weights/file_descriptor.h"
#include "core/weights/safetensors_header.h"

namespace zerorun {

class SafetensorsFile {
 public:
  // Throws Error(missing_input) where the file is not there or cannot be opened, Error(bad_data) where it breaks the format,
  // Error(io) where the disk fails.
  explicit SafetensorsFile(std::string path);

  const std::string& path() const { return path_; }
  const std::map<std::string, StoredTensor>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

  // Elements [first, first + count) of a tensor, row-major, to out[0, count). Reads these bytes only; thread-safe.
  // REQUIRES that the tensor is there and has these elements. Throws Error(bad_data) where it is neither F32, F16 nor BF16,
  // or where the file has become shorter; Error(io) where the disk fails.
  void read(const std::string& name, int64_t first, int64_t count, float* out) const;

 private:
  std::string path_;
  FileDescriptor file_;
  SafetensorsHeader header_;
  int64_t data_begin_ = 0;  // of the first tensor, in the file
};

}  // namespace zerorun
