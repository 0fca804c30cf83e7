// What sleeps outside of the device, and where. zero/README.md has the order of moves.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/memory.h"
#include "offload/offloader.h"

namespace zerorun {

struct SleepingPlace {
  enum class Device { none, host, disk };
  Device device = Device::none;  // none: it stays on the device
  std::string path = {};         // of disk: a folder
  bool overlaps = true;          // moves run beside the computation; false: it waits for each

  bool sleeps() const { return device != Device::none; }
  bool same_store(const SleepingPlace& other) const { return device == other.device && path == other.path; }
};

using MakeStore = std::function<std::unique_ptr<Store>(const SleepingPlace&, int64_t, MemoryLedger&)>;

// On the host, or on disk.
std::unique_ptr<Store> open_store(const SleepingPlace& place, int64_t bytes, MemoryLedger& ledger);

struct OffloadOptions {
  SleepingPlace parameters = {};  // REQUIRES sharded parameters
  SleepingPlace optimizer = {};   // states, masters, and gradients once they are summed. Not on another disk than the parameters
  SleepingPlace activations = {};  // what units read in forward. REQUIRES recompute: else their graphs hold more than that
  int buffer_count = 2;           // upload slots: slices of parameters that are on the device at a time, where moves overlap
  double ratio = 1;               // of the optimizer that sleeps, by elements; what stays is that of the last units

  bool verify_disk = false;  // checksums of what sleeps on disk, held against what is read

  int64_t disk_stripe = 1 << 18;        // elements whose weights, masters, states and gradients lie together on disk
  int64_t disk_batch_bytes = 18 << 20;  // on their way to or from a disk at a time, for each of Offloader::kBuffers buffers

  // What stores and streams there are; tests put others in between.
  MakeStore make_store = open_store;
  MakeStream make_stream = make_thread_stream;

  // Something that sleeps moves beside the computation; or nothing sleeps.
  bool overlaps() const {
    const auto beside = [](const SleepingPlace& place) { return place.sleeps() && place.overlaps; };
    return !any() || beside(parameters) || beside(optimizer) || beside(activations);
  }
  // With checksums where they are asked for. `counts_only`: charges `ledger`, and nothing else.
  std::unique_ptr<Store> open(const SleepingPlace& place, int64_t bytes, MemoryLedger& ledger, bool counts_only) const;

  bool any() const { return parameters.sleeps() || optimizer.sleeps() || activations.sleeps(); }
};

}  // namespace zerorun
