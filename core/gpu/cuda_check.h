// What CUDA says of a call, as an Error. Private to the sources of this folder and of other CUDA backends.
#pragma once
#include <cuda_runtime_api.h>

#include "core/error.h"

namespace zerorun::gpu {

// Throws Error(out_of_memory) or Error(io) that says what could not be done and why.
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // what is known is not said again by the next call
  const auto kind = error == cudaErrorMemoryAllocation ? ErrorKind::out_of_memory : ErrorKind::io;
  fail(kind, "the GPU: {} failed: {} ({})", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

}  // namespace zerorun::gpu
