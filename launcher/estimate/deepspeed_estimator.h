// What DeepSpeed's estimators print (estimate_zero2_ and estimate_zero3_model_states_mem_needs_all_live and _all_cold): the same rows in the same order,
// from the same arithmetic, to the character. Held against DeepSpeed 0.19.8 by tests/bench/deepspeed_estimator.py.
//
// P parameters, B those of the largest module itself, n GPUs a node, m nodes; bytes, host memory of a node with a reserve of 1.5 over it:
//   stage 3, optimizer and parameters in host memory   GPU 4B                      host 1.5 * 18P/m    without zero.Init 1.5 * P max(4n, 18/m)
//   stage 3, optimizer in host memory                  GPU 4B + floor(2P/(nm))     host 1.5 * 16P/m                      1.5 * P max(4n, 16/m)
//   stage 3, all on the GPU                            GPU 4B + floor(18P/(nm))    host 1.5 * 4Bn                        1.5 * 4Pn
//   stage 2, optimizer in host memory                  GPU 2P                      host 1.5 * P max(4nm, 16)
//   stage 2, all on the GPU                            GPU 2P + floor(18P/(nm))    host 1.5 * 4Pn
// It calls 2^30 bytes GB, and truncates counts to millions. Under Python 3.11 and later it prints OffloadDeviceEnum.cpu for "cpu ", by accident; published
// tables, and these, have the latter.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace zerorun {

struct DeepSpeedCase {
  int stage = 3;  // 2 or 3
  int64_t parameters = 0;
  int64_t largest_module = 0;  // parameters that it owns itself; stage 3 only
  int gpus_per_node = 1, nodes = 1;
};

struct DeepSpeedRow {
  bool offload_optimizer = false, offload_param = false, zero_init = false;  // the last two: stage 3 only
  int64_t host_bytes = 0;  // of a node
  int64_t gpu_bytes = 0;   // of a GPU
};

// REQUIRES counts up to kMostParameters, and up to 65,536 GPUs: no sum is rounded then, other than DeepSpeed's own.
std::vector<DeepSpeedRow> deepspeed_rows(const DeepSpeedCase& asked);

// All that DeepSpeed prints, each line ended.
std::string deepspeed_text(const DeepSpeedCase& asked);

}  // namespace zerorun
