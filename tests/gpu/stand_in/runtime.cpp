// CUDA's runtime over the processor, as far as LibTorch and zerorun call it: devices, memory, copies, streams and events.
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/gpu/stand_in/memory.h"
#include "tests/gpu/stand_in/timeline.h"

using stand_in::Mark;
using stand_in::Place;

namespace {

constexpr int kVersion = 13000;
constexpr std::size_t kContext = std::size_t{256} << 20;

int driver_version() {
  const char* const text = std::getenv("STAND_IN_DRIVER");
  return text ? std::atoi(text) : kVersion;
}

thread_local int device = 0;
thread_local cudaError_t last = cudaSuccess;

cudaError_t said(cudaError_t error) {
  if (error != cudaSuccess) last = error;
  return error;
}

// A process has a context on a GPU from its first call there on.
std::mutex contexts_mutex;
bool has_context[8];

bool need_context() {
  const std::lock_guard lock(contexts_mutex);
  has_context[device] = has_context[device] || stand_in::take(device, kContext);
  return has_context[device];
}

Mark& mark_of(cudaEvent_t event) {
  need_context();
  return *reinterpret_cast<Mark*>(event);
}

struct StreamOf {
  int device;
  stand_in::Timeline timeline;
};
std::mutex streams_mutex;
auto& streams = *new std::map<const void*, StreamOf*>;
unsigned int streams_made = 0;

}  // namespace

namespace stand_in {

bool has_context_on(int of) {
  const std::lock_guard lock(contexts_mutex);
  return has_context[of];
}

Timeline& timeline_of(const void* stream) {
  need_context();
  const std::lock_guard lock(streams_mutex);
  const void* const handle = stream ? stream : reinterpret_cast<const void*>(static_cast<intptr_t>(-1 - device));
  auto& found = streams[handle];
  if (!found) found = new StreamOf{device, Timeline(streams_made++)};
  if (found->device != device) {  // CUDA refuses most of what would be asked of it
    std::fprintf(stderr, "stand-in: a stream of GPU %d is used while GPU %d is the thread's\n", found->device, device);
    std::abort();
  }
  return found->timeline;
}

void for_each_timeline(const std::function<void(Timeline&)>& body) {
  std::vector<Timeline*> all;
  {
    const std::lock_guard lock(streams_mutex);
    for (const auto& [handle, found] : streams) all.push_back(&found->timeline);
  }
  for (auto* const timeline : all) body(*timeline);
}

}  // namespace stand_in

using stand_in::timeline_of;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (driver_version() < kVersion) return said(cudaErrorInsufficientDriver);
  *count = stand_in::device_count();
  return said(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}
cudaError_t cudaDriverGetVersion(int* version) { return *version = driver_version(), cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = kVersion, cudaSuccess; }
cudaError_t cudaGetDevice(int* current) { return *current = device, cudaSuccess; }
cudaError_t cudaSetDevice(int chosen) {
  if (chosen < 0 || chosen >= stand_in::device_count()) return said(cudaErrorInvalidDevice);
  if (std::getenv("STAND_IN_BUSY")) return said(cudaErrorDevicesUnavailable);
  device = chosen;
  return said(need_context() ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "a stand-in for a GPU");
  std::snprintf(properties->uuid.bytes, sizeof(properties->uuid.bytes), "stand-in %d", index);
  properties->totalGlobalMem = stand_in::use_of(index).total;
  properties->major = 9;
  properties->warpSize = 32;
  properties->multiProcessorCount = 132;
  properties->maxThreadsPerBlock = properties->maxThreadsDim[0] = 1024;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->maxGridSize[0] = 0x7fffffff;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->sharedMemPerBlock = 48 << 10;
  properties->sharedMemPerBlockOptin = 227 << 10;
  properties->sharedMemPerMultiprocessor = 228 << 10;
  properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
  properties->l2CacheSize = 50 << 20;
  properties->pciBusID = index + 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index) {
  cudaDeviceProp properties;
  cudaGetDeviceProperties(&properties, index);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = properties.multiProcessorCount; break;
    case cudaDevAttrComputeCapabilityMajor: *value = properties.major; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(properties.sharedMemPerBlockOptin); break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = properties.maxThreadsPerMultiProcessor; break;
    default: *value = 0;
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) { return *can = 0, cudaSuccess; }
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) { return *least = 0, *greatest = -5, cudaSuccess; }
cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int index) { return std::snprintf(id, static_cast<std::size_t>(length), "0000:%02x:00.0", index + 1), cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { return stand_in::count(stand_in::Asked::host_wait), stand_in::for_each_timeline([](auto& timeline) { timeline.wait(); }), cudaSuccess; }

cudaError_t cudaGetLastError() { return std::exchange(last, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last; }
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    default: return "an error of the GPU that stands in";
  }
}
const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  if (!need_context()) return said(cudaErrorMemoryAllocation);
  const auto use = stand_in::use_of(device);
  return *free = use.free, *total = use.total, cudaSuccess;
}

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  if (!need_context()) return said(cudaErrorMemoryAllocation);
  const std::size_t whole = (bytes + stand_in::kPage - 1) / stand_in::kPage * stand_in::kPage;
  if (!stand_in::take(device, whole)) return said(cudaErrorMemoryAllocation);
  *data = stand_in::reserve(whole);
  stand_in::open_pages(*data, whole, device);
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (!need_context()) return said(cudaErrorMemoryAllocation);
  if (!data) return cudaSuccess;
  cudaDeviceSynchronize();
  const auto range = stand_in::range_of(data);
  if (!range || range->begin != data || range->place != Place::device) return said(cudaErrorInvalidValue);
  stand_in::close_pages(data, range->bytes);
  stand_in::unreserve(data, range->bytes);
  stand_in::give_back(range->device, range->bytes);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* data, std::size_t bytes, unsigned int) { return said(stand_in::pin(data, bytes) ? cudaSuccess : cudaErrorHostMemoryAlreadyRegistered); }
cudaError_t cudaHostUnregister(void* data) { return said(stand_in::unpin(data) ? cudaSuccess : cudaErrorHostMemoryNotRegistered); }
cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned int) {
  *data = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  return said(stand_in::pin(*data, bytes) ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* data) {
  cudaDeviceSynchronize();
  if (!stand_in::unpin(data)) return said(cudaErrorInvalidValue);
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* data) {
  *attributes = {};
  const auto range = stand_in::range_of(data);
  attributes->type = !range ? cudaMemoryTypeUnregistered : range->place == Place::device ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
  attributes->device = range ? range->device : -1;
  attributes->devicePointer = range ? const_cast<void*>(data) : nullptr;
  attributes->hostPointer = range && range->place == Place::device ? nullptr : const_cast<void*>(data);
  return cudaSuccess;
}

// As CUDA has it: what is pageable has been read, or written, when the call returns.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  const auto source = stand_in::place_of(from, bytes), target = stand_in::place_of(to, bytes);
  if (!source || !target) return said(cudaErrorInvalidValue);
  stand_in::count(stand_in::Asked::copy);
  auto& timeline = timeline_of(stream);
  if (source == Place::pageable) {
    timeline.submit([to, kept = std::vector<char>(static_cast<const char*>(from), static_cast<const char*>(from) + bytes)] { std::memcpy(to, kept.data(), kept.size()); });
  } else {
    timeline.submit([=] { std::memmove(to, from, bytes); });
  }
  if (target == Place::pageable) {
    stand_in::count(stand_in::Asked::host_wait);
    timeline.wait();
  }
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const auto error = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  timeline_of(nullptr).wait();
  return error;
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_stride, const void* from, std::size_t from_stride, std::size_t width, std::size_t rows, cudaMemcpyKind, cudaStream_t stream) {
  const std::size_t last = rows - 1;
  if (width > to_stride || width > from_stride || stand_in::place_of(from, last * from_stride + width) != Place::device || stand_in::place_of(to, last * to_stride + width) != Place::device) {
    return said(cudaErrorInvalidValue);
  }
  stand_in::count(stand_in::Asked::copy);
  timeline_of(stream).submit([=] {
    for (std::size_t r = 0; r < rows; ++r) std::memcpy(static_cast<char*>(to) + r * to_stride, static_cast<const char*>(from) + r * from_stride, width);
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (stand_in::place_of(to, bytes) != Place::device) return said(cudaErrorInvalidValue);
  stand_in::count(stand_in::Asked::fill);
  timeline_of(stream).submit([=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int, int) {
  *stream = reinterpret_cast<cudaStream_t>(new char);
  timeline_of(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return timeline_of(stream).wait(), cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return stand_in::count(stand_in::Asked::host_wait), timeline_of(stream).wait(), cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t stream) { return said(timeline_of(stream).idle() ? cudaSuccess : cudaErrorNotReady); }
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int) { return stand_in::count(stand_in::Asked::wait), mark_of(event).hold(timeline_of(stream)), cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) { return *status = cudaStreamCaptureStatusNone, cudaSuccess; }
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status, unsigned long long*, cudaGraph_t*, const cudaGraphNode_t**, const cudaGraphEdgeData**, std::size_t*) {
  return *status = cudaStreamCaptureStatusNone, cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int) { return *event = reinterpret_cast<cudaEvent_t>(new Mark), cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete &mark_of(event), cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) { return mark_of(event).record(timeline_of(stream)), cudaSuccess; }
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned int) { return cudaEventRecord(event, stream); }
cudaError_t cudaEventQuery(cudaEvent_t event) { return said(mark_of(event).has_happened() ? cudaSuccess : cudaErrorNotReady); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  return *milliseconds = static_cast<float>(mark_of(to).milliseconds_since(mark_of(from))), cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) { return stand_in::count(stand_in::Asked::host_wait), mark_of(event).wait(), cudaSuccess; }

// The driver's functions are symbols of this library too.
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** found, unsigned int, unsigned long long, cudaDriverEntryPointQueryResult* result) {
  *found = dlsym(RTLD_DEFAULT, name);
  *result = *found ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

}  // extern "C"
