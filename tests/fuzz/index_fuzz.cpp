// Any bytes as model.safetensors.index.json, beside two shards that are sound. The reader must accept or refuse with
// Error(bad_data), or Error(missing_input) for a file that is not there; what it accepts must be all of the shards' tensors.
#include <memory>

#include "core/error.h"
#include "core/weights/safetensors_writer.h"
#include "core/weights/weight_files.h"
#include "tests/fuzz/folder.h"

namespace zerorun {
namespace {

// Shards "1.safetensors" with tensors a and b, "2.safetensors" with c.
class Shards : public Folder {
 public:
  Shards() {
    write_shard("1", {"a", "b"});
    write_shard("2", {"c"});
  }

 private:
  void write_shard(const std::string& name, const std::vector<std::string>& tensors) {
    std::vector<TensorDeclaration> declarations;
    for (const auto& tensor : tensors) declarations.push_back({tensor, Dtype::f32, {1}});
    SafetensorsWriter writer(path() + "/" + name + ".safetensors", declarations);
    for (size_t i = 0; i < tensors.size(); ++i) writer.write("1234", 4);
    writer.finish();
  }
};

void check(const WeightFiles& files) {
  require(!files.entries().empty());
  for (const auto& [name, entry] : files.entries()) {
    float value = 0;
    require(entry.file->tensors().contains(name) && entry.file->path().ends_with(name == "c" ? "/2.safetensors" : "/1.safetensors"));
    entry.file->read(name, 0, 1, &value);
  }
  require(files.entries().contains("a") == files.entries().contains("b"));
}

}  // namespace
}  // namespace zerorun

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace zerorun;
  static const Shards folder;
  folder.write("model.safetensors.index.json", {reinterpret_cast<const char*>(data), size});
  const auto files = accepted([&] { return std::make_unique<WeightFiles>(folder.path()); }, {ErrorKind::bad_data, ErrorKind::missing_input}, folder.path());
  if (files) check(**files);
  return 0;
}
