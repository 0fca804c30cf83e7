// Kernels of zerorun, as tests/gpu/emulation has them, in the order of their streams: one at a time, since blocks share static memory.
#include <mutex>

#include "tests/gpu/emulation/cuda_runtime.h"
#include "tests/gpu/stand_in/timeline.h"

namespace emulation {

void launch(cudaStream_t stream, dim3 grid, dim3 block, std::function<void()> thread) {
  static std::mutex one_at_a_time;
  stand_in::count(stand_in::Asked::kernel);
  stand_in::timeline_of(stream).submit([=] {
    if (stand_in::skips_kernels()) return;
    const std::lock_guard lock(one_at_a_time);
    run(grid, block, thread);
  });
}

}  // namespace emulation
