// What GPUs can do, for plans on machines that have none: of those that people rent, from data sheets, at the share of them that programs reach; or as it was measured.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/rates.h"
#include "launcher/report.h"

namespace zerorun {

struct KnownDevice {
  std::string name;      // "h100", or as the driver says
  std::string source;    // of the figures
  int64_t memory = 0;    // bytes that a program finds
  int multiprocessors = 0;
  double memory_bandwidth = 0;  // bytes a second, of the data sheet
  int64_t slab_bytes = 0;  // that NCCL allocates at a time (comm/slab_memory.h)
  Rates rates;           // with the host that it is commonly rented in
  GpuBaseline baseline;  // that CUDA, cuBLAS and NCCL take of it: assumed until a run has measured it
  int64_t process = 0;   // and of host memory, for each rank: assumed too
};

// The GPU whose rates were measured. What NCCL takes to connect several ranks, and allocates at a time, is assumed, as is the host's memory. REQUIRES rates.gpu.
KnownDevice measured_device(const Rates& rates);

// By name or alias, in lower case. Nothing where it is not known.
std::optional<KnownDevice> find_device(std::string_view name);
std::vector<std::string> known_device_names();

}  // namespace zerorun
