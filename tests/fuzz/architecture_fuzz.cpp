// Any bytes as the config.json of a model to be estimated. The reader must accept or refuse with Error(bad_data) or Error(configuration) that
// names the file; what it accepts has counts that add up, and every formula of it is a figure or an error.
#include "core/error.h"
#include "core/model.h"
#include "core/weights/architecture_config.h"
#include "launcher/estimate/activation_formulas.h"
#include "launcher/estimate/inference_memory.h"
#include "tests/fuzz/folder.h"

namespace zerorun {
namespace {

void check(const Architecture& model) {
  require(model.parameters > 0 && model.parameters <= kMostParameters && model.parameters == model.model->parameter_count());
  require(model.active_parameters > 0 && model.active_parameters <= model.parameters);
  require(model.largest_module_parameters > 0 && model.largest_module_parameters <= model.parameters);
  require(model.largest_block > 0 && model.block_parameters <= model.parameters);
  require(model.positions > 0 && model.vocab_size > 0);
  const ActivationSizes sizes{model.positions, 1, 2};
  const auto formulas = accepted([&] { return activation_formulas(model, sizes); }, {ErrorKind::configuration}, "");
  for (const auto& row : formulas.value_or(std::vector<ActivationRow>{})) require(row.bytes > 0);
  const auto inference = accepted([&] { return inference_memory(model, sizes, 2, 1e12); }, {ErrorKind::configuration}, "");
  if (inference) require(inference->total() >= inference->streamed_total() && inference->streamed_weights > 0 && inference->tokens_per_second > 0);
}

}  // namespace
}  // namespace zerorun

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace zerorun;
  static const Folder folder;
  folder.write("config.json", {reinterpret_cast<const char*>(data), size});
  const auto model = accepted([&] { return read_architecture(folder.path()); }, {ErrorKind::bad_data, ErrorKind::configuration}, folder.path() + "/config.json");
  if (model) check(*model);
  return 0;
}
