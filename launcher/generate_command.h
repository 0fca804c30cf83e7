// The command line of `zerorun generate`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/sampling.h"
#include "launcher/settings.h"

namespace zerorun {

struct GenerateCommand {
  std::string hf;                     // the folder
  std::optional<std::string> prompt;  // text; "-" is standard input
  std::vector<int64_t> tokens;        // without a text
  int64_t max_tokens = 64;
  Sampling sampling = {};
  Settings::ParamDtype param_dtype = Settings::ParamDtype::fp32;
  Settings::OffloadDevice offload = Settings::OffloadDevice::none;  // where the weights sleep; a unit's come when it is computed
  std::string offload_path;                                        // of nvme
  bool cached = true;
  bool json = false;
};

// argv[0] is the word `generate`. Nothing where --help is asked for. Throws Error(usage), one line that ends with the hint to
// `zerorun --help`.
std::optional<GenerateCommand> parse_generate(int argc, const char* const* argv);

}  // namespace zerorun
