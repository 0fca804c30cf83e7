// What this machine moves and computes in a second, measured once: what a plan reckons the time of a step from, and a report holds it against.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>

#include "launcher/settings.h"

namespace zerorun {

// What `zerorun bench rates` is asked for.
struct RatesOptions {
  std::optional<std::string> path;  // a folder on the disk to measure; none: no disk is
  int64_t bytes = int64_t{1} << 30;  // that are moved, and written to the disk
  Settings::Device device = Settings::Device::automatic;  // a GPU where there is one
  bool json = false;
};

// `bench rates` and its options, after the program's name. Throws Error(usage), one line with the hint to --help.
RatesOptions parse_rates_options(int argc, const char* const* argv);

struct Rates {
  std::string host;  // name of the machine
  int threads = 1;
  // Bytes a second: a copy counts what it reads and what it writes, a triad (a = b + s c) three arrays.
  double memory_copy = 0, memory_triad = 0;
  // Between the memory of the device and the host's, each way. On a CPU device both are the same memory.
  double host_to_device = 0, device_to_host = 0;
  std::optional<std::string> disk;  // the folder that was measured
  std::optional<double> disk_read, disk_write;
  std::optional<double> disk_both;  // read and written at the same time, both counted
  std::map<std::string, double> multiply;  // floating-point operations a second in a product of large matrices, by dtype
  double adamw = 0;                        // parameters a second in fp32, on the device
  std::optional<double> host_adamw;        // the same on the host, all its cores; none: the device is the host
  std::optional<double> links;             // bytes a second that a rank sends to others of its host; none: as host_to_device
  std::optional<double> network;           // bytes a second that a host sends to others, all its ranks together
  // The device, where it is a GPU: bytes of its memory, and what of them CUDA, with other programs, and cuBLAS take.
  struct Gpu {
    std::string name;
    int64_t memory = 0;
    int multiprocessors = 0;
    int64_t context = 0, workspace = 0;
    bool operator==(const Gpu&) const = default;
  };
  std::optional<Gpu> gpu;

  bool of_gpu() const { return host_adamw.has_value(); }
  bool operator==(const Rates&) const = default;
};

// Of the processor, or of the first GPU that this process may use and its host. Takes some seconds. `note` becomes what the disk has to do without. Throws as HostStore and
// DiskStore, and Error(configuration) where there is no GPU and one is asked for.
Rates measure_rates(const RatesOptions& options, std::string* note = nullptr);

// Where `bench rates` leaves them, and plan and report look: $ZERORUN_RATES, else rates.json in the user's cache folder. Empty: there is none.
std::string rates_path();
std::string rates_json(const Rates& rates);
// Nothing where there is no such file. Throws Error(bad_data), which says how to make a new one, where it cannot be read as one or has a rate that is none.
std::optional<Rates> read_rates(const std::string& path);
// Throws Error(cannot_create) or Error(io).
void write_rates(const std::string& path, const Rates& rates);

// `bench rates`: measures, leaves the file and prints.
void run_rates(const RatesOptions& options, std::ostream& out);

}  // namespace zerorun
