// Stands for the kernels of GPUs where zerorun is built without CUDA.
#include "comm/rank_sum.h"
#include "core/gpu/gpu.h"

namespace zerorun {

void rank_sum(const void*, int64_t, int, Span, GpuStream) { gpu::fail_absent(); }

}  // namespace zerorun
