// A safetensors file in the making. Tensors are declared first, then their bytes are streamed in that order, so that no
// more than a piece of one is ever held. The file is whole or absent: it is written beside its place (`<path>.partial`),
// brought to the disk and renamed by finish(); without finish() nothing is left.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/weights/file_descriptor.h"
#include "core/weights/safetensors_header.h"

namespace zerorun {

struct TensorDeclaration {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> shape;
};

class SafetensorsWriter {
 public:
  // Writes the header: padded with spaces to a multiple of 8 bytes, `"__metadata__": {"format": "pt"}`, the tensors one after
  // the other as declared. Throws Error(cannot_create) where the file cannot be made, Error(io) where the disk is full or
  // fails (so do write and finish). REQUIRES names that are valid UTF-8, each once, none of them `__metadata__`.
  SafetensorsWriter(std::string path, const std::vector<TensorDeclaration>& tensors);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // The next bytes of the tensors. REQUIRES that they are not more than what was declared.
  void write(const void* data, int64_t bytes);
  // REQUIRES that all bytes have been written.
  void finish();

 private:
  std::string path_, beside_;
  FileDescriptor file_;
  int64_t left_ = 0;  // bytes of the tensors
  bool finished_ = false;
};

// A small text, whole or absent in the same way. Same errors.
void write_whole(const std::string& path, std::string_view text);

}  // namespace zerorun
