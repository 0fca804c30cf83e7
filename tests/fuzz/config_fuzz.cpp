// Any bytes as the config.json of a Hugging Face folder. The reader must accept or refuse with Error(bad_data) or
// Error(configuration) that names the file; what it accepts must make a model, and must be read as the same model again
// from what the export writes.
#include "core/error.h"
#include "core/model.h"
#include "core/weights/hf_config.h"
#include "tests/fuzz/folder.h"

namespace zerorun {
namespace {

int64_t layers_of(const ModelConfig& config) {
  return std::visit([](const auto& model) { return model.num_hidden_layers; }, config);
}

void check(const HfConfig& read, const Folder& folder) {
  constexpr int64_t kMostLayers = 8;  // more cost time
  if (layers_of(read.model) <= kMostLayers) require(make_model(read.model).parameter_count() > 0);
  const std::string written = hf_config_json(read.model);
  folder.write("config.json", written);
  const HfConfig again = read_hf_config(folder.path());
  require(again.model.index() == read.model.index() && again.warnings.empty() && hf_config_json(again.model) == written);
}

}  // namespace
}  // namespace zerorun

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace zerorun;
  static const Folder folder;
  folder.write("config.json", {reinterpret_cast<const char*>(data), size});
  const auto read = accepted([&] { return read_hf_config(folder.path()); }, {ErrorKind::bad_data, ErrorKind::configuration}, folder.path() + "/config.json");
  if (read) check(*read, folder);
  return 0;
}
