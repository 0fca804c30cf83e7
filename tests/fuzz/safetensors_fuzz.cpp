// Any bytes as a safetensors file. The reader must accept or refuse with Error(bad_data); what it accepts must hold
// together: tensors fill the file, and can be read.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/error.h"
#include "core/weights/safetensors.h"
#include "tests/fuzz/folder.h"

namespace zerorun {
namespace {

// A file without a name, in memory.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size) : number_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    require(number_ >= 0 && ::write(number_, data, size) == static_cast<ssize_t>(size));
  }
  ~MemoryFile() { ::close(number_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(number_); }

 private:
  int number_;
};

void check(const SafetensorsFile& file, size_t size) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    require(tensor.begin >= 0 && tensor.begin <= tensor.end && tensor.end <= static_cast<int64_t>(size));
    require(tensor.bytes() * 8 == tensor.count() * bits_of(tensor.dtype));
    bytes += tensor.bytes();
    const bool is_float = tensor.dtype == Dtype::f32 || tensor.dtype == Dtype::f16 || tensor.dtype == Dtype::bf16;
    if (!is_float) continue;
    std::vector<float> values(static_cast<size_t>(tensor.count()));
    file.read(name, 0, tensor.count(), values.data());
  }
  require(bytes + kHeaderLengthBytes <= static_cast<int64_t>(size));
}

}  // namespace
}  // namespace zerorun

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace zerorun;
  const MemoryFile bytes(data, size);
  const auto file = accepted([&] { return std::make_unique<SafetensorsFile>(bytes.path()); }, {ErrorKind::bad_data}, bytes.path());
  if (file) check(**file, size);
  return 0;
}
