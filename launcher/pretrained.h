// A run that starts from a Hugging Face folder (model.hf_path).
#pragma once
#include <memory>

#include "core/weights/hf_folder.h"
#include "launcher/settings.h"

namespace zerorun {

// Sets the family and the sizes of settings.model to those of the folder's config.json; nothing without model.hf_path.
// Throws Error(configuration) where a key that is set says something else, naming both; what read_hf_config throws.
void settle_model(Settings& settings);

// The folder's weights, opened and checked; null without model.hf_path. Throws what HfFolder throws.
std::unique_ptr<HfFolder> open_pretrained(const Settings& settings);

}  // namespace zerorun
