// What the stages of ZeRO keep and send by the published arithmetic (Rajbhandari et al. 2020), of one of N ranks, without padding, buffers and activations:
//   stage 0  (p + g + k) P                all-reduce of the gradients: each byte is sent twice
//   stage 1  (p + g) P + k P / N          reduce-scatter of the gradients, all-gather of the parameters
//   stage 2  p P + (g + k) P / N          the same
//   stage 3  (p + g + k) P / N            all-gather of the parameters in forward and in backward, reduce-scatter of the gradients
// p, g, k: bytes of a parameter, of its gradient, of its optimizer states (master included). What is sent is times (N - 1) / N.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "launcher/estimate/estimate_options.h"

namespace zerorun {

struct ZeroStage {
  int64_t parameters = 0, gradients = 0, optimizer = 0;        // bytes
  int64_t all_reduce = 0, reduce_scatter = 0, all_gather = 0;  // bytes sent in a step of one micro-batch
  std::string states_formula, traffic_formula;

  int64_t states() const { return parameters + gradients + optimizer; }
  int64_t sent() const { return all_reduce + reduce_scatter + all_gather; }
};

std::array<ZeroStage, 4> zero_formulas(int64_t parameters, const EstimateOptions& options);

}  // namespace zerorun
