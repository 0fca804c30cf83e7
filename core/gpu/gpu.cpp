#include "core/gpu/gpu.h"

#include <ATen/Context.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <cstdlib>

#include "core/gpu/allocator.h"
#include "core/gpu/cuda_check.h"
#include "core/gpu/launch.cuh"
#include "core/memory.h"

namespace zerorun::gpu {
namespace {

std::string version_of(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

std::string uuid_of(const cudaUUID_t& uuid) {
  std::string text = "GPU";
  for (int i = 0; i < 16; ++i) text += fmt::format("{}{:02x}", i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", static_cast<unsigned char>(uuid.bytes[i]));
  return text;
}

Info info_of(int index) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "reading its properties");
  return {.index = index,
          .name = properties.name,
          .compute_major = properties.major,
          .compute_minor = properties.minor,
          .multiprocessors = properties.multiProcessorCount,
          .total_bytes = static_cast<int64_t>(properties.totalGlobalMem),
          .uuid = uuid_of(properties.uuid),
          .pci_bus = fmt::format("{:04x}:{:02x}:{:02x}.0", properties.pciDomainID, properties.pciBusID, properties.pciDeviceID)};
}

// Fewer than one, or why not.
cudaError_t count_devices(int& count) {
  const auto error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
  return error;
}

constexpr int kLeastComputeMajor = 8;

// cuBLAS takes workspaces at its first calls and keeps them: they are the libraries', like the context, and no run's.
void warm_up(at::Device device) {
  static auto* const libraries = new MemoryLedger(Side::gpu);
  const MemoryScope scope(*libraries, Category::workspace);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto options = at::TensorOptions().dtype(dtype).device(device);
    const auto matrix = at::ones({64, 64}, options);
    at::addmm(at::ones({64}, options), matrix, at::mm(matrix, matrix));
  }
  synchronize();
}

// What of start() takes memory of the GPU.
Started start_on(int index, const StartOptions& options) {
  check(cudaFree(nullptr), "making a context");
  Started started{.context = bytes_in_use()};
  at::globalContext().lazyInitDevice(at::kCUDA);
  install_allocator(index);
  at::globalContext().setAllowTF32CuBLAS(options.tf32);
  at::globalContext().setAllowTF32CuDNN(options.tf32);
  at::globalContext().setDeterministicAlgorithms(options.deterministic, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);  // nothing here reads what it has not written
  at::globalContext().setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false);
  at::globalContext().setAllowFP16ReductionCuBLAS(/*allow_reduced_precision=*/false);
  static_cast<void>(c10::cuda::getStreamFromPool());  // LibTorch makes all of its streams at once
  warm_up(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)));
  started.workspace = bytes_in_use() - started.context;
  return started;
}

}  // namespace

void fail_absent() { fail(ErrorKind::bug, "a GPU is used, but {}", absence()); }

void fail_dtype(c10::ScalarType dtype) { fail(ErrorKind::configuration, "an op got numbers of {}, expected fp32, bf16 or fp16", c10::toString(dtype)); }

void check_launch(int error, const char* kernel) { check(static_cast<cudaError_t>(error), kernel); }

std::string build() {
  return fmt::format("CUDA {}, NCCL {}.{}.{}, {}", version_of(CUDART_VERSION), NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH, ZERORUN_CUDA_ARCHITECTURES);
}

std::vector<Info> visible() {
  int count = 0;
  if (count_devices(count) != cudaSuccess) return {};
  std::vector<Info> all;
  for (int i = 0; i < count; ++i) all.push_back(info_of(i));
  return all;
}

std::string absence() {
  int count = 0, driver = 0;
  const auto error = count_devices(count);
  if (error == cudaSuccess && count > 0) return "";
  const char* chosen = std::getenv("CUDA_VISIBLE_DEVICES");
  if (chosen && (error == cudaSuccess || error == cudaErrorNoDevice)) return fmt::format("CUDA_VISIBLE_DEVICES is '{}', which leaves none", chosen);
  static_cast<void>(cudaDriverGetVersion(&driver));
  if (driver == 0) return "this machine has no NVIDIA driver (libcuda.so.1)";
  if (error == cudaErrorInsufficientDriver) {
    return fmt::format("the NVIDIA driver knows CUDA {}, and zerorun was built with {}; a newer driver is needed", version_of(driver), version_of(CUDART_VERSION));
  }
  return fmt::format("CUDA finds no GPU: {}", cudaGetErrorString(error));
}

Started start(const StartOptions& options) {
  // Before the first handle of cuBLAS. One workspace for both of its interfaces, of a known size, taken once and kept: what is foretold has none, and its sums have an order.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 1);
  setenv("TORCH_CUBLASLT_UNIFIED_WORKSPACE", "1", 1);
  unsetenv("CUBLASLT_WORKSPACE_SIZE");
  const auto info = info_of(options.index);
  if (info.compute_major < kLeastComputeMajor) {
    fail(ErrorKind::configuration, "GPU {} ({}) has compute capability {}.{}, expected at least {}.0", options.index, info.name, info.compute_major,
         info.compute_minor, kLeastComputeMajor);
  }
  const auto error = cudaSetDevice(options.index);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    fail(ErrorKind::configuration, "GPU {} ({}) cannot be used: {}{}", options.index, info.name, cudaGetErrorString(error),
         error == cudaErrorDevicesUnavailable ? "; another process may hold it alone (nvidia-smi shows its compute mode)" : "");
  }
  try {
    return start_on(info.index, options);
  } catch (const Error& failure) {
    if (failure.kind() != ErrorKind::out_of_memory) throw;
    const auto [free, total] = memory();
    fail(ErrorKind::out_of_memory, "GPU {} ({}) is nearly full: {} of its {} bytes are free, with which CUDA and cuBLAS cannot start; nvidia-smi shows who uses it", info.index, info.name,
         free, total);
  }
}

Memory memory() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for its memory");
  return {static_cast<int64_t>(free), static_cast<int64_t>(total)};
}

}  // namespace zerorun::gpu
