// The time of a step that the machine's rates allow: what each resource has to do, by what it does in a second. A lower bound, but for what stays in a cache and counts as moved in
// memory: what units ask LibTorch for themselves, the time in which messages start and what competes for the same cores are not in it.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "core/span.h"
#include "launcher/rates.h"

namespace zerorun {

struct StepWork;

enum class Resource { compute, memory, to_device, to_host, disk_read, disk_write, update, links, network };
inline constexpr int kResourceCount = 9;
inline constexpr std::array kResources{Resource::compute,   Resource::memory,     Resource::to_device, Resource::to_host, Resource::disk_read,
                                       Resource::disk_write, Resource::update,    Resource::links,     Resource::network};

const char* name_of(Resource resource);  // "matrix products"
// As in JSON: "compute".
const char* key_of(Resource resource);

// Of each resource: operations, bytes or parameters; or what it does of them in a second; or seconds.
struct ByResource {
  std::array<double, kResourceCount> values{};
  double& operator[](Resource resource) { return values[static_cast<size_t>(resource)]; }
  double operator[](Resource resource) const { return values[static_cast<size_t>(resource)]; }
};

// Phases of a step, one after the other: forward, beside the updates of what sleeps; backward; the updates on the device.
inline constexpr int kPhaseCount = 3;
inline constexpr std::array<const char*, kPhaseCount> kPhaseNames{"forward", "backward", "update"};
using ByPhase = std::array<ByResource, kPhaseCount>;
// Where the ranks of a run are.
struct RanksAt {
  int ranks = 1, hosts = 1;
  int of_host() const { return (ranks + hosts - 1) / hosts; }
};
// Between hosts a ring passes each byte on once a host: what goes through a host's network is what one rank sends.
ByPhase amounts_of(const StepWork& work, const RanksAt& at);
ByResource sum_of(const ByPhase& phases);

// None: it was not measured.
struct Computation {
  std::string dtype = "fp32";  // of the matrix products: "fp32", "bf16" or "fp16"
  int optimizer_states = 2;    // an update moves 12 bytes a parameter and 8 more for each: AdamW's rate serves for all
  bool overlaps = true;        // moves and updates run beside the products; false: each is waited for
  bool gathers_ahead = true;   // and so does what ranks send each other; false: it is waited for, as what is gathered then comes behind what is reduced
  Side device = Side::host;
  int threads = 0;             // of a rank, where the device is the host; 0: all that were measured
  RanksAt at = {};
};
// For one rank: ranks of a host share its disk, and where they compute on it its cores and its memory. `phase`: what sleeps is updated on the host, before the last.
std::optional<double> rate_of(Resource resource, size_t phase, const Rates& rates, const Computation& computation);

struct StepTime {
  ByPhase seconds;       // that each resource works
  bool overlaps = true, gathers_ahead = true;

  // Of the slowest resource; blocked, of the products and then of moves and updates, which share the time with the disk that they wait for.
  double of_phase(size_t phase) const;
  double total() const;
  Resource bounded_by() const;
};

// What takes most, where products and what moves in memory take turns; REQUIRES that something takes time.
Resource largest_of(const ByResource& seconds);

// Where reads and writes run beside each other, the one that takes longer takes what the disk needs for both.
// None where a rate is missing that the step needs.
std::optional<StepTime> step_time(const StepWork& work, const Rates& rates, const Computation& computation);

}  // namespace zerorun
