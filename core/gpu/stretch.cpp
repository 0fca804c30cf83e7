#include "core/gpu/stretch.h"

#include <cuda.h>

#include <vector>

#include "core/gpu/cuda_check.h"
#include "core/gpu/gpu.h"
#include "core/gpu/mapped_bytes.h"

namespace zerorun::gpu {
namespace {

// A function of the driver, which no library names: the program starts where there is none.
template <typename Function>
Function* of_driver(const char* name, int version) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  check(cudaGetDriverEntryPointByVersion(name, &found, static_cast<unsigned int>(version), cudaEnableDefault, &result), name);
  ZR_CHECK(found && result == cudaDriverEntryPointSuccess, "the NVIDIA driver has no {}", name);
  return reinterpret_cast<Function*>(found);
}

struct Driver {
  decltype(cuMemAddressReserve)* reserve = of_driver<decltype(cuMemAddressReserve)>("cuMemAddressReserve", 10020);
  decltype(cuMemAddressFree)* free = of_driver<decltype(cuMemAddressFree)>("cuMemAddressFree", 10020);
  decltype(cuMemCreate)* create = of_driver<decltype(cuMemCreate)>("cuMemCreate", 10020);
  decltype(cuMemRelease)* release = of_driver<decltype(cuMemRelease)>("cuMemRelease", 10020);
  decltype(cuMemMap)* map = of_driver<decltype(cuMemMap)>("cuMemMap", 10020);
  decltype(cuMemUnmap)* unmap = of_driver<decltype(cuMemUnmap)>("cuMemUnmap", 10020);
  decltype(cuMemGetAddressRange)* range = of_driver<decltype(cuMemGetAddressRange)>("cuMemGetAddressRange", 3020);
  decltype(cuMemSetAccess)* set_access = of_driver<decltype(cuMemSetAccess)>("cuMemSetAccess", 10020);
};

const Driver& driver() {
  static const Driver functions;
  return functions;
}

class GpuStretch final : public detail::AddressStretch {
 public:
  GpuStretch() : reserved_(gpu_pages(memory().total)) {
    check(cudaGetDevice(&device_), "asking which is in use");
    if (driver().reserve(&base_, static_cast<size_t>(reserved_), 0, 0, 0) != CUDA_SUCCESS) {
      fail(ErrorKind::out_of_memory, "the GPU's addresses cannot be reserved: {} bytes", reserved_);
    }
  }

  ~GpuStretch() override {
    static_cast<void>(cudaDeviceSynchronize());
    if (size_ > 0) driver().unmap(base_, static_cast<size_t>(size_));
    for (const auto part : parts_) driver().release(part);
    driver().free(base_, static_cast<size_t>(reserved_));
  }

  bool reach(int64_t bytes) override {
    if (bytes <= size_) return true;
    if (bytes > reserved_) return false;
    const int64_t more = gpu_pages(bytes) - size_;
    CUmemAllocationProp kind{};
    kind.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    kind.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device_}};
    CUmemGenericAllocationHandle part{};
    if (driver().create(&part, static_cast<size_t>(more), &kind, 0) != CUDA_SUCCESS) return false;
    const CUmemAccessDesc access{kind.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    const CUdeviceptr begin = base_ + static_cast<CUdeviceptr>(size_);
    const bool mapped = driver().map(begin, static_cast<size_t>(more), 0, part, 0) == CUDA_SUCCESS;
    if (!mapped || driver().set_access(begin, static_cast<size_t>(more), &access, 1) != CUDA_SUCCESS) {
      if (mapped) driver().unmap(begin, static_cast<size_t>(more));
      driver().release(part);
      return false;
    }
    parts_.push_back(part);
    size_ += more;
    return true;
  }

  char* at(int64_t offset) const override { return reinterpret_cast<char*>(base_) + offset; }
  int64_t size() const override { return size_; }

 private:
  const int64_t reserved_;
  int device_ = 0;
  CUdeviceptr base_ = 0;
  int64_t size_ = 0;
  std::vector<CUmemGenericAllocationHandle> parts_;
};

}  // namespace

int64_t mapped_bytes(const void* data) {
  CUdeviceptr begin{};
  size_t bytes = 0;
  const auto address = reinterpret_cast<CUdeviceptr>(data);
  ZR_CHECK(driver().range(&begin, &bytes, address) == CUDA_SUCCESS && begin == address, "no allocation of the GPU begins at {}", data);
  return static_cast<int64_t>(bytes);
}

std::unique_ptr<detail::AddressStretch> make_stretch() { return std::make_unique<GpuStretch>(); }

}  // namespace zerorun::gpu
