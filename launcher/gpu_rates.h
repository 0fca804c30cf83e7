// What a GPU moves and computes in a second.
#pragma once
#include "core/gpu/gpu.h"
#include "launcher/rates.h"

namespace zerorun {

// `host`, which was measured on the processor, with the GPU's figures in place of those that are of who computes; `host_adamw` has what the host updates. This process computes on
// that GPU from now on. REQUIRES that nothing has used one before. Throws Error(configuration) where it cannot be used, Error(out_of_memory) where it is nearly full.
Rates measure_gpu(const gpu::Info& gpu, const Rates& host);
// The same of a GPU on which this process computes. REQUIRES precision.tf32 off where the rate of fp32 is to be that of fp32.
Rates measure_started_gpu(const gpu::Info& gpu, const gpu::Started& started, const Rates& host);

}  // namespace zerorun
