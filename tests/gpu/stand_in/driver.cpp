// CUDA's driver over the processor: memory in pages, and what LibTorch asks before it makes a tensor. What it compiles at run time is not here.
#include <cuda.h>

#include <utility>

#include "tests/gpu/stand_in/memory.h"
#include "tests/gpu/stand_in/timeline.h"

namespace {

using Part = std::pair<int, std::size_t>;  // of which GPU, bytes

Part& part_of(CUmemGenericAllocationHandle handle) { return *reinterpret_cast<Part*>(handle); }
void* pointer(CUdeviceptr at) { return reinterpret_cast<void*>(at); }

}  // namespace

extern "C" {

CUresult cuMemAddressReserve(CUdeviceptr* at, std::size_t bytes, std::size_t, CUdeviceptr, unsigned long long) {
  *at = reinterpret_cast<CUdeviceptr>(stand_in::reserve(bytes));
  return *at ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemAddressFree(CUdeviceptr at, std::size_t bytes) { return stand_in::unreserve(pointer(at), bytes), CUDA_SUCCESS; }
CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes, const CUmemAllocationProp* kind, unsigned long long) {
  if (bytes % stand_in::kPage != 0) return CUDA_ERROR_INVALID_VALUE;
  if (!stand_in::take(kind->location.id, bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  *handle = reinterpret_cast<CUmemGenericAllocationHandle>(new Part(kind->location.id, bytes));
  return CUDA_SUCCESS;
}
CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  stand_in::give_back(part_of(handle).first, part_of(handle).second);
  delete &part_of(handle);
  return CUDA_SUCCESS;
}
CUresult cuMemMap(CUdeviceptr, std::size_t bytes, std::size_t, CUmemGenericAllocationHandle handle, unsigned long long) {
  return part_of(handle).second == bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemUnmap(CUdeviceptr at, std::size_t bytes) { return stand_in::close_pages(pointer(at), bytes), CUDA_SUCCESS; }
CUresult cuMemSetAccess(CUdeviceptr at, std::size_t bytes, const CUmemAccessDesc* access, std::size_t) {
  return stand_in::open_pages(pointer(at), bytes, access->location.id), CUDA_SUCCESS;
}
#undef cuMemGetAddressRange
CUresult cuMemGetAddressRange(CUdeviceptr* begin, std::size_t* bytes, CUdeviceptr data) {
  const auto range = stand_in::range_of(pointer(data));
  if (!range || range->place != stand_in::Place::device) return CUDA_ERROR_NOT_FOUND;
  *begin = reinterpret_cast<CUdeviceptr>(range->begin);
  *bytes = range->bytes;
  return CUDA_SUCCESS;
}

// A context is one to LibTorch, which asks whether there is any.
CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int* flags, int* active) { return *flags = 0, *active = stand_in::has_context_on(device), CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext* context) { return *context = reinterpret_cast<CUcontext>(1), CUDA_SUCCESS; }

}  // extern "C"
