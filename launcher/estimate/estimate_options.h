// The command line of `zerorun estimate`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "launcher/settings.h"

namespace zerorun {

struct EstimateOptions {
  enum class Compat { none, deepspeed, formulas };

  // What is estimated: one of these.
  std::string model;       // a name of the catalogue (core/architectures)
  std::string hf;          // a config.json, or the folder that holds it
  int64_t parameters = 0;  // a count alone; with a model: the count that tables are published with
  int64_t largest_layer = 0;

  Compat compat = Compat::none;
  int stage = 3;  // of DeepSpeed's table
  int gpus_per_node = 1, nodes = 1;
  Settings::ParamDtype param_dtype = Settings::ParamDtype::bf16;
  Settings::ReduceDtype reduce_dtype = Settings::ReduceDtype::bf16;
  Settings::Device device = Settings::Device::cuda;  // that the exact figures are of
  int64_t micro_batch = 1;
  std::optional<int64_t> seq_len;  // none: the most that the model has, up to kUsualSeqLen
  double bandwidth = 0;            // of the device's memory, bytes a second; 0: not known
  int slots = 2;                   // blocks that are on the device at a time, of weights that stream
  bool decimal = false;            // GB of 1e9 bytes, else GiB
  bool json = false;

  static constexpr int64_t kUsualSeqLen = 2048;

  int ranks() const { return gpus_per_node * nodes; }
  int64_t parameter_bytes() const { return param_dtype == Settings::ParamDtype::fp32 ? 4 : 2; }
  int64_t gradient_bytes() const { return reduce_dtype == Settings::ReduceDtype::fp32 ? 4 : 2; }
  // fp32 momentum and variance of AdamW, and the fp32 master where parameters are not fp32.
  int64_t optimizer_bytes() const { return param_dtype == Settings::ParamDtype::fp32 ? 8 : 12; }
};

// argv[0] is the word `estimate`. Nothing where --help is asked for. Throws Error(usage), one line that ends with the hint to `zerorun --help`.
std::optional<EstimateOptions> parse_estimate(int argc, const char* const* argv);

}  // namespace zerorun
