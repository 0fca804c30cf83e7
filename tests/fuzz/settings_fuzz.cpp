// Any bytes as the YAML of a run. The reader must refuse with Error(configuration) that names the file, or accept what holds together: it reads back from what a run
// writes of it, and where it makes a small model, a run of it is predicted or refused.
#include "core/error.h"
#include "core/model.h"
#include "launcher/build.h"
#include "launcher/prediction.h"
#include "launcher/settings.h"
#include "tests/fuzz/folder.h"

namespace zerorun {
namespace {

constexpr int kRanks = 2, kMostUnits = 20;

// More would take time, not other paths.
bool is_small(const Settings& settings) {
  return !settings.model.hf_path && settings.training.seq_len * settings.training.micro_batch_size <= 4096;
}

void predict_run(const Settings& settings) {
  try {
    const Model model = make_model(settings);
    if (model.unit_count() > kMostUnits) return;
    micro_batches_of(settings, kRanks);
    const auto prediction = predict(settings, model, planned_shape(settings, kRanks, 1, Side::host), 0);
    require(prediction.memory.total_peak > 0);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::configuration);
  }
}

void check(const Settings& settings, const Folder& folder) {
  require(validate(settings).empty());
  folder.write("written.yaml", resolved_yaml(settings));
  const Settings again = read_settings(folder.path() + "/written.yaml");
  require(again == settings && fingerprint(again) == fingerprint(settings));
  if (is_small(settings)) predict_run(settings);
}

}  // namespace
}  // namespace zerorun

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace zerorun;
  static const Folder folder;
  folder.write("train.yaml", {reinterpret_cast<const char*>(data), size});
  const std::string path = folder.path() + "/train.yaml";
  const auto settings = accepted([&] { return read_settings(path); }, {ErrorKind::configuration}, path);
  if (settings) check(*settings, folder);
  return 0;
}
