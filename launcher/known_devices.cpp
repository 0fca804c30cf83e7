#include "launcher/known_devices.h"

#include <algorithm>
#include <array>

namespace zerorun {
namespace {

constexpr double kGB = 1e9, kTera = 1e12;
constexpr int64_t kGiB = int64_t{1} << 30, kMiB = int64_t{1} << 20;

// Shares of a data sheet's figure. Products: 60 to 70 % of the peak in large matrices; memory and links: 80 to 90 %.
constexpr double kProducts = 0.65, kMemory = 0.85, kLinks = 0.8;
constexpr int64_t kNccl = 256 * kMiB;  // that NCCL takes to connect several ranks
constexpr int64_t kSlab = 512 * kMiB;  // that it allocates at a time where a switch connects GPUs
constexpr int64_t kProcess = kGiB;     // of host memory, for each rank
constexpr double kBytesPerUpdate = 28;  // of AdamW in fp32

struct DataSheet {
  std::array<std::string_view, 2> names;
  const char* source;
  int64_t memory_gib;                // what the driver reports, rounded down
  int multiprocessors;
  double bf16, fp32;                 // TFLOP/s, dense
  double memory_bytes, link, to_host;  // GB/s: memory; to the other GPUs of its host, and the host, one way
  double network;                    // GB/s of a host with eight of them, or of a workstation
  bool has_switch;                   // between the GPUs of a host: it maps 512 MiB at a time
};

constexpr DataSheet kDataSheets[] = {
    {{"h100", "h100-sxm"}, "NVIDIA H100 SXM5 data sheet; a host with 8 ports of 400 Gbit/s", 79, 132, 989.4, 66.9, 3350, 450, 64, 400, true},
    {{"h200", "h200-sxm"}, "NVIDIA H200 SXM data sheet; a host with 8 ports of 400 Gbit/s", 139, 132, 989.4, 66.9, 4800, 450, 64, 400, true},
    {{"b200", "b200-sxm"}, "NVIDIA HGX B200 data sheet; a host with 8 ports of 400 Gbit/s", 178, 148, 2250, 75, 8000, 900, 64, 400, true},
    {{"a100-80gb", "a100"}, "NVIDIA A100 80GB SXM4 data sheet; a host with 8 ports of 200 Gbit/s", 79, 108, 312, 19.5, 2039, 300, 32, 200, true},
    {{"a100-40gb", ""}, "NVIDIA A100 40GB SXM4 data sheet; a host with 8 ports of 200 Gbit/s", 39, 108, 312, 19.5, 1555, 300, 32, 200, true},
    {{"l40s", ""}, "NVIDIA L40S data sheet; GPUs connected by PCIe, a port of 100 Gbit/s", 44, 142, 362, 91.6, 864, 32, 32, 12.5, false},
    {{"rtx4090", "4090"}, "NVIDIA Ada architecture paper; GPUs connected by PCIe, a port of 10 Gbit/s", 23, 128, 165.2, 82.6, 1008, 32, 32, 1.25, false},
    {{"rtx3090", "3090"}, "NVIDIA Ampere GA102 architecture paper; GPUs connected by PCIe, a port of 10 Gbit/s", 23, 82, 71.2, 35.6, 936, 32, 32, 1.25, false},
};

// Of the host: two sockets with 400 GB/s of memory, and a disk on PCIe 4.
constexpr double kHostMemory = 400 * kGB, kDiskRead = 6.5 * kGB, kDiskWrite = 4 * kGB;

KnownDevice device_of(const DataSheet& sheet) {
  Rates rates;
  rates.host = std::string(sheet.names[0]);
  rates.memory_copy = rates.memory_triad = kMemory * sheet.memory_bytes * kGB;
  rates.host_to_device = rates.device_to_host = kLinks * sheet.to_host * kGB;
  rates.links = kLinks * sheet.link * kGB;
  rates.network = kLinks * sheet.network * kGB;
  rates.disk = "";
  rates.disk_read = kDiskRead;
  rates.disk_write = kDiskWrite;
  rates.disk_both = (kDiskRead + kDiskWrite) / 2;
  rates.multiply = {{"fp32", kProducts * sheet.fp32 * kTera}, {"bf16", kProducts * sheet.bf16 * kTera}, {"fp16", kProducts * sheet.bf16 * kTera},
                    {"tf32", kProducts * sheet.bf16 / 2 * kTera}};  // half of bf16's on all of them
  rates.adamw = rates.memory_triad / kBytesPerUpdate;
  rates.host_adamw = kMemory * kHostMemory / kBytesPerUpdate;
  return {std::string(sheet.names[0]), sheet.source, sheet.memory_gib * kGiB, sheet.multiprocessors, sheet.memory_bytes * kGB, sheet.has_switch ? kSlab : 2 * kMiB, rates, {.context = 512 * kMiB, .workspace = 64 * kMiB, .nccl = kNccl}, kProcess};
}

}  // namespace

KnownDevice measured_device(const Rates& rates) {
  const auto& gpu = *rates.gpu;
  return {gpu.name, "rates of " + rates.host, gpu.memory, gpu.multiprocessors, rates.memory_copy, kSlab, rates, {gpu.context, gpu.workspace, kNccl}, kProcess};
}

std::optional<KnownDevice> find_device(std::string_view name) {
  const auto found = std::ranges::find_if(kDataSheets, [&](const DataSheet& sheet) { return !name.empty() && std::ranges::find(sheet.names, name) != sheet.names.end(); });
  return found == std::end(kDataSheets) ? std::nullopt : std::optional(device_of(*found));
}

std::vector<std::string> known_device_names() {
  std::vector<std::string> names;
  for (const auto& sheet : kDataSheets) {
    for (const auto name : sheet.names) {
      if (!name.empty()) names.emplace_back(name);
    }
  }
  return names;
}

}  // namespace zerorun
